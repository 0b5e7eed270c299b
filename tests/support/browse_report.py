#!/usr/bin/env python3
"""Opens a report in headless Chromium at 400 and 1,400 px, light and dark, and checks what a reader would see.

browse_report.py REPORT.html [--screenshots DIR]

Checks: no console message, no exception, no request beside the file itself and data: URIs, every chart drawn and not
empty, every picture decoded, no horizontal scrolling of the page, nothing cut off at its right edge, and contrast of
text. Talks to the browser through --remote-debugging-pipe, so it needs nothing but Python's standard library. Exit
status 77: Chromium is not installed.
"""
import argparse
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
WIDTHS = [400, 1400]

MEASURE = r"""
(() => {
  for (const d of document.querySelectorAll('details')) d.open = true;
  const ids = ['answer', 'queries', 'agreement', 'heatmaps', 'timesteps', 'gallery', 'cost', 'provenance', 'glossary'];
  const box = e => e.getBoundingClientRect();
  const charts = [...document.querySelectorAll('svg')];
  const inScroller = e => e.closest('.scroll') !== null;
  const luminance = c => {
    const v = c.match(/[\d.]+/g).slice(0, 3).map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2];
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (!/, 0\)$|transparent/.test(c)) return c;
    }
    return 'rgb(255, 255, 255)';
  };
  const contrast = e => {
    const s = getComputedStyle(e);
    const a = luminance(e.closest('svg') ? s.fill : s.color), b = luminance(ground(e));
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const texts = [...document.querySelectorAll('body *')].filter(e => e.tagName !== 'SCRIPT' && e.tagName !== 'title' && e.tagName !== 'desc' &&
      [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim() !== ''));
  return {
    inner: window.innerWidth, scroll: document.documentElement.scrollWidth,
    missing: ids.filter(id => !document.getElementById(id)),
    charts: charts.length, emptyCharts: charts.filter(s => box(s).width < 100 || box(s).height < 40).length,
    unnamed: charts.filter(s => !s.querySelector(':scope > title') || !s.querySelector(':scope > desc')).length,
    bars: document.querySelectorAll('svg rect').length, lines: document.querySelectorAll('svg polyline').length,
    images: document.images.length, broken: [...document.images].filter(i => !i.complete || i.naturalWidth === 0).length,
    cut: [...document.querySelectorAll('main *')].filter(e => !inScroller(e) && !e.closest('svg') && box(e).right > window.innerWidth + 1)
        .map(e => e.tagName + '.' + e.className).slice(0, 5),
    clipped: charts.flatMap(s => [...s.querySelectorAll('text')].filter(t => box(t).left < box(s).left - 1.5 || box(t).right > box(s).right + 1.5)
        .map(t => (s.querySelector('title')?.textContent ?? 'unnamed') + ': ' + t.textContent)).slice(0, 5),
    faint: texts.filter(e => contrast(e) < 4.5).map(e => e.tagName + '.' + e.getAttribute('class') + ' ' + contrast(e).toFixed(2) + ' ' + e.textContent.slice(0, 30)).slice(0, 5),
    unreachable: [...document.querySelectorAll('.scroll')].filter(e => e.tabIndex !== 0 || !e.getAttribute('aria-label')).length,
    lang: document.documentElement.lang,
    json: (() => { const e = document.getElementById('guda-data'); return e ? JSON.parse(e.textContent).comparison.schema : null; })(),
    svg: charts.map(s => new XMLSerializer().serializeToString(s)),
  };
})()
"""


class Browser:
    """One Chromium and one tab, spoken to in DevTools messages over file descriptors 3 and 4."""

    def __init__(self, program, profile):
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        def connect():
            # Out of the way first: either pipe end may itself be descriptor 3 or 4.
            a, b = os.dup(to_browser), os.dup(from_browser)
            while a < 10:
                a = os.dup(a)
            while b < 10:
                b = os.dup(b)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self._process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-extensions", "--disable-background-networking", "--hide-scrollbars",
             "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=connect, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._next = 0
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def _receive(self):
        while b"\0" not in self._buffer:
            chunk = os.read(self._read, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser ended unexpectedly")
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self._next += 1
        message = {"id": self._next, "method": method, "params": params}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data):]
        while True:
            answer = self._receive()
            if answer.get("id") == self._next:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def wait_for(self, method):
        for event in self.events:
            if event["method"] == method:
                return
        while True:
            event = self._receive()
            self.events.append(event)
            if event.get("method") == method:
                return

    def close(self):
        os.close(self._write)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def complaints(events, url):
    """What the browser itself said while it showed the page."""
    found = []
    for event in events:
        name, params = event.get("method"), event.get("params", {})
        if name == "Runtime.consoleAPICalled":
            found.append("console: " + json.dumps(params["args"])[:200])
        elif name == "Log.entryAdded":
            found.append("log: " + params["entry"]["text"][:200])
        elif name == "Runtime.exceptionThrown":
            found.append("exception: " + json.dumps(params["exceptionDetails"])[:200])
        elif name == "Network.requestWillBeSent":
            asked = params["request"]["url"]
            if asked != url and not asked.startswith("data:"):
                found.append("request: " + asked)
    return found


def check(page, width):
    """Faults in what MEASURE saw."""
    faults = []

    def must(condition, text):
        if not condition:
            faults.append(text)

    must(page["inner"] == width, f"window is {page['inner']} px wide, not {width}")
    must(page["scroll"] <= page["inner"], f"page scrolls sideways: {page['scroll']} > {page['inner']} px")
    must(not page["missing"], f"sections missing: {page['missing']}")
    must(page["charts"] >= 10, f"only {page['charts']} charts")
    must(page["emptyCharts"] == 0, f"{page['emptyCharts']} charts have no size")
    must(page["unnamed"] == 0, f"{page['unnamed']} charts without title and description")
    must(page["bars"] > 100 and page["lines"] >= 2, f"{page['bars']} rectangles, {page['lines']} lines")
    must(page["images"] > 20, f"only {page['images']} pictures")
    must(page["broken"] == 0, f"{page['broken']} pictures do not decode")
    must(not page["cut"], f"cut off at the right: {page['cut']}")
    must(not page["clipped"], f"text outside its chart: {page['clipped']}")
    must(not page["faint"], f"contrast below 4.5: {page['faint']}")
    must(page["unreachable"] == 0, f"{page['unreachable']} scrolling tables the keyboard cannot reach")
    must(page["lang"] == "en", "no lang")
    must(page["json"] == 1, "embedded JSON is not readable")
    for text in page["svg"]:
        try:
            xml.etree.ElementTree.fromstring(text)
        except xml.etree.ElementTree.ParseError as error:
            faults.append(f"SVG is not well-formed: {error}: {text[:80]}")
    return faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path)
    arguments = parser.parse_args()
    program = next((found for found in map(shutil.which, BROWSERS) if found), None)
    if program is None:
        print("SKIPPED: Chromium is not installed (Debian: apt-get install chromium)")
        return 77
    url = arguments.report.resolve().as_uri()
    faults = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            for domain in ["Page", "Runtime", "Log", "Network"]:
                browser.call(domain + ".enable")
            for width in WIDTHS:
                for scheme in ["light", "dark"]:
                    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=1000, deviceScaleFactor=1, mobile=False)
                    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
                    browser.events = []
                    browser.call("Page.navigate", url=url)
                    browser.wait_for("Page.loadEventFired")
                    if arguments.screenshots:
                        size = browser.call("Page.getLayoutMetrics")["cssContentSize"]
                        shot = browser.call("Page.captureScreenshot", captureBeyondViewport=True, format="png",
                                            clip={"x": 0, "y": 0, "width": width, "height": size["height"], "scale": 1})
                        arguments.screenshots.mkdir(parents=True, exist_ok=True)
                        (arguments.screenshots / f"report-{width}-{scheme}.png").write_bytes(base64.b64decode(shot["data"]))
                    answer = browser.call("Runtime.evaluate", expression=MEASURE, returnByValue=True)
                    if "exceptionDetails" in answer:
                        raise RuntimeError(json.dumps(answer["exceptionDetails"]))
                    page = answer["result"]["value"]
                    found = check(page, width) + complaints(browser.events, url)
                    faults += [f"{width} px, {scheme}: {fault}" for fault in found]
                    print(f"{width} px, {scheme}: {page['charts']} charts, {page['images']} pictures, {len(found)} faults")
        finally:
            browser.close()
    for fault in faults:
        print("FAULT", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
