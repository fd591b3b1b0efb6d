"""The page /docs: Swagger UI, with files that the service brings along instead of a CDN's."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from kronos_service.api.paths import DOCS_ICON_PATH, DOCS_PATH, DOCS_SCRIPT_PATH, DOCS_STYLE_PATH, OPENAPI_PATH


def add_docs(app: FastAPI) -> None:
    """Serve the page and its files."""

    @app.get(DOCS_PATH, include_in_schema=False)
    async def docs() -> HTMLResponse:
        root = app.root_path
        return get_swagger_ui_html(
            openapi_url=root + OPENAPI_PATH,
            title=app.title,
            swagger_js_url=root + DOCS_SCRIPT_PATH,
            swagger_css_url=root + DOCS_STYLE_PATH,
            swagger_favicon_url=root + DOCS_ICON_PATH,
            # Otherwise the page sends the document's address to a validator on the internet.
            swagger_ui_parameters={"validatorUrl": None},
        )

    app.mount(DOCS_PATH, StaticFiles(packages=[("fastapi_offline", "static")]))
