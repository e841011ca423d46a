"""A page as Chromium shows it: its errors, its requests, what is where on it.

Chromium is driven through its own debugging protocol over a pipe, which needs no other package.
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
    """One tab. `trouble` collects errors and warnings of the console, `requests` all addresses."""

    def __init__(self, read, write):
        self._read, self._write = read, write
        self._count, self._rest, self._session = 0, b"", None
        self.trouble, self.requests, self._loaded = [], [], False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Sends a command and waits for its answer; events on the way are noted."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def evaluate(self, script):
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return result["result"].get("value")

    def wait(self, script, seconds=60):
        """Waits until a JavaScript expression is true in the page; returns its value."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(script)):
            assert time.monotonic() < end, f"still not: {script}"
            time.sleep(0.05)
        return value

    def choose(self, selector, path):
        """Gives a file to an <input type="file">."""
        found = self.call("Runtime.evaluate", expression=f"document.querySelector('{selector}')")
        self.call("DOM.setFileInputFiles", files=[str(path)], objectId=found["result"]["objectId"])

    def open(self, path, *, width=1200, height=900, dark=False):
        """Loads a file or an address, at a width in CSS pixels, and waits until it is there."""
        look = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[look])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        self._loaded = False
        self.call("Page.navigate", url=path if isinstance(path, str) else path.resolve().as_uri())
        while not self._loaded:
            self._next()

    def follow(self, selector):
        """Clicks the first link that the selector finds and waits until its page is there."""
        self._loaded = False
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")
        while not self._loaded:
            self._next()

    def _next(self):
        while b"\0" not in self._rest:
            read = os.read(self._read, 1 << 20)
            if not read:
                raise RuntimeError("Chromium ended")
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(message)
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Log.entryAdded":
            self.trouble.append(parameters["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.trouble.append(parameters["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.trouble.append(str(parameters["args"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True
        return message


@contextlib.contextmanager
def page(profile, *more):
    """A tab of a fresh Chromium, whose profile goes into the folder `profile`.

    `more` are options of its command line.
    """
    to_read, to_write = os.pipe()  # commands
    from_read, from_write = os.pipe()  # answers
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
               "--hide-scrollbars", "--disable-dev-shm-usage", f"--user-data-dir={profile}",
               "--disable-background-networking", "--no-first-run", *more]  # fmt: skip
    # Chromium takes commands on descriptor 3 and answers on 4, whatever ours are.
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
        os.close(to_write)  # Chromium ends with its pipe
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_read)
