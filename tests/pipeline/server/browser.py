"""Headless Chromium, driven by its DevTools protocol over a pipe: no driver, no package."""

import base64
import contextlib
import itertools
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
)
KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
SECONDS = 60

LAUNCH = """import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for number, end in zip((3, 4), ends): os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])"""
"""Chromium reads from file descriptor 3 and writes to 4."""


def find() -> str | None:
    """The path of Chromium; None where it is missing."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A browser without a window; `open` makes a tab.

    Args:
        program: path of Chromium.
    """

    def __init__(self, program: str):
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [sys.executable, "-I", "-S", "-c", LAUNCH, str(theirs_in), str(theirs_out), program, *OPTIONS]
        command += [f"--user-data-dir={self._folder.name}", "about:blank"]
        self._process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self._numbers, self._rest, self._answers = itertools.count(1), b"", {}
        self.events = []

    def close(self):
        """Ends the browser."""
        with contextlib.suppress(OSError, AssertionError):
            self.call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._out)
        os.close(self._in)
        self._folder.cleanup()

    def call(self, method: str, session: str | None = None, **parameters):
        """The result of a method of the protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        end = time.monotonic() + SECONDS
        while number not in self._answers:
            self.read(end)
        answer = self._answers.pop(number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def read(self, end: float):
        """Reads what the browser says, events or answers; fails after `end` of `time.monotonic`."""
        ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
        assert ready, "Chromium must answer in time"
        data = os.read(self._in, 2**20)
        assert data, "Chromium must go on running"
        *messages, self._rest = (self._rest + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self.events.append(message)

    def open(self, url: str, width: int = 1400, height: int = 900, dark: bool = False, **features) -> "Tab":
        """A new tab of this size that has loaded a page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, target, session)
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            tab.call(f"{domain}.enable")
        tab.resize(width, height)
        features = {"prefers-color-scheme": "dark" if dark else "light", **features}
        tab.call(
            "Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in features.items()]
        )
        tab.call("Page.navigate", url=url)
        tab.wait("document.readyState === 'complete'")
        return tab


class Tab:
    """A tab.

    Attributes:
        browser: whose it is.
    """

    def __init__(self, browser: Browser, target: str, session: str):
        self.browser, self._target, self._session = browser, target, session

    def call(self, method: str, **parameters):
        """The result of a method of the protocol."""
        return self.browser.call(method, self._session, **parameters)

    def events(self, method: str) -> list[dict]:
        """What the tab told so far by events of this method."""
        own = [event for event in self.browser.events if event.get("sessionId") == self._session]
        return [event["params"] for event in own if event["method"] == method]

    def close(self):
        """Closes it."""
        self.browser.call("Target.closeTarget", targetId=self._target)

    def resize(self, width: int, height: int):
        """Gives it this size in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def run(self, expression: str):
        """The value of an expression of JavaScript, awaited."""
        options = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        result = self.call("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, expression: str, seconds: float = SECONDS):
        """The value of an expression as soon as it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(expression)):
            assert time.monotonic() < end, f"{expression} must become true. The page: {self.text('body')[:2000]}"
            time.sleep(0.02)
        return value

    def text(self, selector: str) -> str:
        """What is read in an element."""
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def choose(self, *paths: pathlib.Path):
        """Chooses files in the page's file dialog."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def press(self, *keys: str):
        """Presses keys, one after the other; "Shift+Tab" holds the first one."""
        for key in keys:
            *held, name = key.split("+") if key != "+" else [key]
            text = {"Enter": "\r", " ": " "}.get(name)
            detail = {"key": name, "windowsVirtualKeyCode": KEYS[name], "modifiers": 8 if "Shift" in held else 0}
            self.call("Input.dispatchKeyEvent", type="keyDown", **detail, **({"text": text} if text else {}))
            self.call("Input.dispatchKeyEvent", type="keyUp", **detail)

    def point(self, selector: str, across: float = 0.5, down: float = 0.5, kind: str = "mouseMoved", **options):
        """Moves the mouse to a place in an element, given in shares of its sides."""
        box = self.run(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect(); "
            "return [b.left, b.top, b.width, b.height] })()"
        )
        left, top, width, height = box
        place = {"x": left + across * width, "y": top + down * height}
        self.call("Input.dispatchMouseEvent", type=kind, **place, **options)

    def click(self, selector: str):
        """Clicks on an element, in view."""
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'nearest'}})")
        for kind in ("mousePressed", "mouseReleased"):
            self.point(selector, kind=kind, button="left", clickCount=1)

    def picture(self, whole: bool = True) -> bytes:
        """A PNG of the page."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])
