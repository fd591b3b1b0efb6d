"""A headless Chromium, steered over a pair of pipes: no driver, no port, no package.

The messages are those of the DevTools protocol, one JSON object each, with a zero byte at its end.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

_NAMES = ("chromium", "chromium-browser", "google-chrome")

# It draws our own page only, as whoever runs the tests; in a container there is no sandbox to be had.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    # Letters are drawn the same way everywhere.
    "--font-render-hinting=none",
    "--no-proxy-server",
)


# What Chromium answers to a question whose page is gone.
_LEFT = "Inspected target navigated or closed"


class MissingProgram(Exception):  # noqa: N818 - "raise MissingProgram" says it.
    """A program is not on PATH; the message has the line that installs it."""


class BrowserError(Exception):
    """Chromium or the page failed; the message says at what, and why."""


class PageLeftError(BrowserError):
    """The page was left for another one before it could answer."""


def require(program: str, *others: str, install: str) -> Path:
    """Return the first of the programs that is on PATH; raises MissingProgram with the line that installs it."""
    for name in (program, *others):
        if found := shutil.which(name):
            return Path(found)
    raise MissingProgram(f"{program} is not on PATH. On Debian, as root: {install}")


class Browser:
    """One page in a headless Chromium, as a context manager. `width` is in pixels; sizes are those of the page."""

    def __init__(self, width: int = 1600) -> None:
        self._width = width
        self._program = require(*_NAMES, install="apt-get install --yes chromium")
        self._number = 0
        self._session: str | None = None
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        """What the page reported: errors and console messages, in order."""

    def __enter__(self) -> Self:
        """Start Chromium with an empty profile, and open an empty page."""
        self._profile = tempfile.TemporaryDirectory(prefix="kronos-chromium-", ignore_cleanup_errors=True)
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # Chromium reads from 3 and writes to 4, and only a shell can put them there safely. It is bash, because dash
        # takes no descriptor above 9.
        script = f'exec 3<&{to_read} 4>&{to_write}; exec "$0" "$@"'
        flags = [*_FLAGS, f"--user-data-dir={self._profile.name}", "--remote-debugging-pipe", "about:blank"]
        self._log = Path(self._profile.name) / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", script, self._program, *flags],
                pass_fds=(to_read, to_write),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(to_read)
        os.close(to_write)
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self.call("Page.enable")
            self.call("Runtime.enable")
            self.resize(900)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop Chromium and delete its profile."""
        self._end()

    def resize(self, height: int, width: int | None = None) -> None:
        """Give the window this height, and a width other than its own."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width or self._width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, url: str) -> None:
        """Load a page; it may not have drawn anything yet."""
        self.events.clear()
        if reason := self.call("Page.navigate", url=url).get("errorText"):
            raise BrowserError(f"{url}: {reason}")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page; a promise is waited for."""
        try:
            answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        except BrowserError as error:
            raise type(error)(f"{expression[:200]}: {error}") from error
        if problem := answer.get("exceptionDetails"):
            reason = problem.get("exception", {}).get("description", problem["text"])
            raise BrowserError(f"{expression}: {reason}")
        return answer["result"].get("value")

    def wait_for(self, expression: str, timeout: float = 60) -> None:
        """Wait until a JavaScript expression is true; raises BrowserError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self._is_true(expression):
            if time.monotonic() > deadline:
                raise BrowserError(
                    f"{expression} was not true within {timeout:g} s. The page said: {self.complaints()}"
                )
            time.sleep(0.1)

    def _is_true(self, expression: str) -> bool:
        try:
            return bool(self.evaluate(f"Boolean({expression})"))
        except PageLeftError:  # The next page will tell.
            return False

    def click(self, selector: str) -> None:
        """Click in the middle of the first element that matches a CSS selector, as a person would."""
        place = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null;"
            " e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        if place is None:
            raise BrowserError(f"Nothing on the page matches {selector}")
        x, y = place
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self) -> bytes:
        """The window as a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def pixels(self) -> npt.NDArray[np.uint8]:
        """The window, as red, green and blue of each pixel: shape (height, width, 3)."""
        picture = base64.b64encode(self.screenshot()).decode()
        # The page itself unpacks the PNG.
        answer = self.evaluate(
            f"""(async () => {{
                const file = await fetch("data:image/png;base64,{picture}");
                const picture = await createImageBitmap(await file.blob());
                const canvas = new OffscreenCanvas(picture.width, picture.height);
                const context = canvas.getContext("2d");
                context.drawImage(picture, 0, 0);
                const {{ data }} = context.getImageData(0, 0, picture.width, picture.height);
                const reader = new FileReader();
                await new Promise((done) => {{ reader.onload = done; reader.readAsDataURL(new Blob([data])); }});
                return [picture.height, picture.width, reader.result.split(",")[1]];
            }})()"""
        )
        height, width, data = answer
        return np.frombuffer(base64.b64decode(data), dtype=np.uint8).reshape(height, width, 4)[:, :, :3]

    def complaints(self) -> str:
        """Errors that the page reported since it was opened."""
        lines = []
        for event in self.events:
            parameters = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                lines.append(details.get("exception", {}).get("description", details["text"]))
            elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] == "error":
                lines.append(" ".join(str(a.get("value", a.get("description", ""))) for a in parameters["args"]))
        return "\n".join(lines) or "nothing"

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command of the DevTools protocol and return its result; raises BrowserError."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        try:
            os.write(self._write, json.dumps(message).encode() + b"\0")
        except BrokenPipeError:
            raise BrowserError(f"Chromium has ended: {self._tail()}") from None
        while (answer := self._receive()).get("id") != self._number:
            if "method" in answer:
                self.events.append(answer)
        if "error" in answer:
            reason = answer["error"]["message"]
            kind = PageLeftError if reason == _LEFT else BrowserError
            raise kind(f"{method}: {reason}")
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self, timeout: float = 60) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._read], [], [], timeout)[0]:
                raise BrowserError(f"Chromium has not answered for {timeout:g} s. Its last lines: {self._tail()}")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise BrowserError(f"Chromium has ended: {self._tail()}")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:] or "it said nothing"

    def _end(self) -> None:
        os.close(self._write)  # At which it ends by itself.
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        self._profile.cleanup()
