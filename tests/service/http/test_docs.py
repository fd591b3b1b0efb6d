"""The page /docs, which must work where there is no internet."""

from __future__ import annotations

import re

from kronos_service.api.paths import DOCS_ICON_PATH, DOCS_SCRIPT_PATH, DOCS_STYLE_PATH, OPENAPI_PATH
from tests.service.server import Server

ADDRESS = re.compile(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""")


def test_the_page_names_no_other_host_and_everything_it_names_is_served(server: Server):
    page = server.client.get("/docs").text
    assert "//" not in re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL)
    assert set(ADDRESS.findall(page)) == {DOCS_SCRIPT_PATH, DOCS_STYLE_PATH, DOCS_ICON_PATH, OPENAPI_PATH}
    types = {path: server.client.get(path).headers["content-type"] for path in ADDRESS.findall(page)}
    assert types == {
        DOCS_SCRIPT_PATH: "text/javascript; charset=utf-8",
        DOCS_STYLE_PATH: "text/css; charset=utf-8",
        DOCS_ICON_PATH: "image/png",
        OPENAPI_PATH: "application/json",
    }
    assert "SwaggerUIBundle" in server.client.get(DOCS_SCRIPT_PATH).text
    assert '"validatorUrl": null' in page


def test_its_files_are_not_counted_and_other_paths_below_it_are(server: Server):
    def counted() -> float:
        return server.total("kronos_requests_total")

    before = counted()
    assert server.client.get(DOCS_STYLE_PATH).status_code == 200
    assert server.client.head(DOCS_STYLE_PATH).content == b""
    assert counted() == before
    for path in ("/docs/", "/docs/nothing.js", "/docs/../docs.py", "/docs/%2e%2e/core.py", "/docs/..%2fcore.py"):
        answer = server.client.get(path)
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:kronos:problem:not-found"), path
    assert counted() == before + 5
