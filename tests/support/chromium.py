"""Opens pages in headless Chromium and inspects them: console errors, requests, layout.

The DevTools protocol over a pipe controls Chromium, so that no further package is needed.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Page:
    """A browser tab.

    Attributes:
        console_errors: Texts of all errors and warnings on the console.
        requests: Addresses of all requests.
    """

    def __init__(self, read, write):
        self._read, self._write = read, write
        self._count, self._buffer, self._session = 0, b"", None
        self.console_errors, self.requests, self._loaded = [], [], False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Sends a command of the protocol and returns its result; handles events meanwhile."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._receive()
            if reply.get("id") == self._count:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}")
                return reply["result"]

    def evaluate(self, script):
        """Returns the value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return result["result"].get("value")

    def wait(self, script, seconds=60):
        """Waits until a JavaScript expression is true in the page; returns its value."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(script)):
            assert time.monotonic() < end, f"still false after {seconds} s: {script}"
            time.sleep(0.05)
        return value

    def choose_file(self, selector, *paths):
        """Chooses one or several files in an <input type="file">."""
        found = self.call("Runtime.evaluate", expression=f"document.querySelector('{selector}')")
        self.call(
            "DOM.setFileInputFiles", files=[*map(str, paths)], objectId=found["result"]["objectId"]
        )

    def open(self, path, *, width=1200, height=900, dark=False):
        """Loads a file (a Path) or a URL (a string) and waits for it; sizes are in CSS pixels."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        self._loaded = False
        self.call("Page.navigate", url=path if isinstance(path, str) else path.resolve().as_uri())
        while not self._loaded:
            self._receive()

    def click_link(self, selector):
        """Clicks the first link that the selector matches and waits for its page."""
        self._loaded = False
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")
        while not self._loaded:
            self._receive()

    def _receive(self):
        while b"\0" not in self._buffer:
            read = os.read(self._read, 1 << 20)
            if not read:
                raise RuntimeError("Chromium exited")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(message)
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Log.entryAdded":
            self.console_errors.append(parameters["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.console_errors.append(parameters["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.console_errors.append(str(parameters["args"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True
        return message


@contextlib.contextmanager
def open_page(profile, *more_options):
    """Starts Chromium and yields a tab.

    Args:
        profile: Folder for the profile.
        more_options: Further options of the command line.
    """
    assert PROGRAM is not None, "there is no Chromium on this machine"
    to_read, to_write = os.pipe()  # commands
    from_read, from_write = os.pipe()  # replies
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
               "--hide-scrollbars", "--disable-dev-shm-usage", f"--user-data-dir={profile}",
               "--disable-background-networking", "--no-first-run", *more_options]  # fmt: skip
    # Chromium reads commands from descriptor 3 and writes replies to 4.
    script = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
    process = subprocess.Popen(
        ["bash", "-c", script, PROGRAM, *options],
        pass_fds=(to_read, from_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(from_write)
    try:
        yield Page(from_read, to_write)
    finally:
        os.close(to_write)  # Chromium exits when its pipe is closed
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_read)
