# SPDX-License-Identifier: MIT
"""Headless Chromium through chromedriver's HTTP interface (W3C WebDriver, and DevTools commands where
that has none). Must not know: what is looked at."""
import base64
import json
import re
import subprocess
import urllib.request

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-dev-shm-usage", "--hide-scrollbars"]
SECONDS = 60  # for any one answer


class Browser:
    """`folder` is new and empty: the profile."""

    def __init__(self, folder):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        try:
            for line in self.driver.stdout:
                if match := re.search(r"started successfully on port (\d+)", line):
                    self.root = f"http://127.0.0.1:{match[1]}"
                    break
            else:
                raise RuntimeError("chromedriver did not start")
            options = {"args": [*ARGUMENTS, f"--user-data-dir={folder}"]}
            logs = {"browser": "ALL", "performance": "ALL"}
            answer = self.send("POST", "/session", {"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": options, "goog:loggingPrefs": logs}}})
            self.session = f"/session/{answer['sessionId']}"
        except BaseException:
            self.driver.terminate()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.send("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait(SECONDS)

    def send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"},
                                         method=method)
        # Not through a proxy: the driver is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.read().decode(errors='replace')[:400]}") from None

    def devtools(self, command, **parameters):
        return self.send("POST", self.session + "/goog/cdp/execute",
                         {"cmd": command, "params": parameters})

    def look(self, width, height, scheme):
        """The window's size, in CSS pixels, and what prefers-color-scheme says."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=width < 600)
        self.devtools("Emulation.setEmulatedMedia",
                      features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, path):
        self.send("POST", self.session + "/url", {"url": path.resolve().as_uri()})

    def run(self, script, *arguments):
        """The script's value; it may return a promise."""
        text = ("const done = arguments[arguments.length - 1];"
                "Promise.resolve((function () {" + script + "}).apply(null, arguments))"
                ".then((v) => done({v}), (e) => done({e: String(e)}));")
        answer = self.send("POST", self.session + "/execute/async",
                           {"script": text, "args": list(arguments)})
        if "e" in answer:
            raise RuntimeError(answer["e"])
        return answer["v"]

    def log(self, kind):
        """Since the last call: "browser" is the console, "performance" what DevTools saw."""
        return self.send("POST", self.session + "/se/log", {"type": kind})

    def addresses(self):
        """All that was asked for since the last call."""
        messages = (json.loads(entry["message"])["message"] for entry in self.log("performance"))
        return [m["params"]["request"]["url"] for m in messages
                if m["method"] == "Network.requestWillBeSent"]

    def press(self, key, n=1):
        """A key with a name, into what has the focus."""
        for _ in range(n):
            for kind in ("keyDown", "keyUp"):
                self.devtools("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                              windowsVirtualKeyCode={"Tab": 9, "ArrowRight": 39}[key])

    def picture(self, whole=True):
        """PNG, of the whole page or of what is in the window."""
        answer = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def pdf(self):
        return base64.b64decode(self.devtools("Page.printToPDF", printBackground=True,
                                              preferCSSPageSize=True)["data"])
