"""A headless Chromium that looks at a served lake, and everything it finds fault with."""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.support import PROJECT

AXE = PROJECT / "tests" / "vendor" / "axe-core" / "axe.min.js"
#: What Chromium leaves out. The list takes the place of Playwright's own: it repeats that and adds the address bar's
#: popups, pages of their own in each window, which cost every tab of a test a second of processor time.
LEFT_OUT = (
    "AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay", "MediaRouter",
    "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup",
)  # fmt: skip
#: Nothing of the browser's own may ask other machines.
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-lcd-text",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    f"--disable-features={','.join(LEFT_OUT)}",
]
BUSY = "[aria-busy=true], .skeleton"
WAITS = 60_000  # ms for anything to appear: how fast pages are is measured elsewhere, on an idle machine
SERIOUS = ("serious", "critical")


def chromium() -> str:
    """Where Chromium lies; without it whatever needs a browser is skipped in one line, on CI it fails."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found:
        return found
    told = "the dashboard's tests need Chromium: apt install chromium (or set CHROMIUM to its path)"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(told)
    pytest.skip(told, allow_module_level=True)


CHROMIUM = chromium()


@contextmanager
def started(*more: str) -> Iterator[Browser]:
    """A browser; ``more`` are arguments of Chromium's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *more])
        try:
            yield browser
        finally:
            browser.close()


SIGNED_IN = """
if (!sessionStorage.getItem("visited")) {
  sessionStorage.setItem("visited", "1");
  sessionStorage.setItem("lake-token", "%s");
}
"""


class Visit:
    """One tab at one lake. ``faults`` are console errors (CSP violations are among them), uncaught exceptions and
    requests to other hosts; ``allow`` names those that a test brings about on purpose. ``waits``: ms for anything to
    appear."""

    def __init__(self, browser: Browser, url: str, token: str | None, *, waits: int = WAITS, **options: Any) -> None:
        settings: dict[str, Any] = {
            "viewport": {"width": 1280, "height": 900},
            "timezone_id": "Europe/Berlin",
            "locale": "en-GB",
            "accept_downloads": True,
        }
        self.context: BrowserContext = browser.new_context(**(settings | options))
        self.waits = waits
        self.context.set_default_timeout(waits / 2)
        expect.set_options(timeout=waits / 2)
        self.page: Page = self.context.new_page()
        self.url = url
        self.host = urlsplit(url).netloc
        self.token = token
        self.requests: list[Request] = []
        self._found: list[str] = []
        self._allowed: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self._found.append(f"uncaught: {error}"))
        self.page.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._found.append(f"console {message.type}: {message.text} {message.location.get('url', '')}")

    def _see(self, request: Request) -> None:
        self.requests.append(request)
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self.host:
            self._found.append(f"request to another host: {request.url}")

    def allow(self, pattern: str) -> None:
        """A fault that the test brings about on purpose."""
        self._allowed.append(pattern)

    @property
    def faults(self) -> list[str]:
        return [fault for fault in self._found if not any(re.search(pattern, fault) for pattern in self._allowed)]

    def open(self, address: str = "#/overview", *, settle: bool = True) -> Page:
        """Go to a page of the dashboard, signed in."""
        if self.page.url == "about:blank" and self.token:
            self.page.add_init_script(SIGNED_IN % self.token)
        self.page.goto(f"{self.url}/{address}")
        if settle:
            self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until nothing is loading. A new address is shown by an event of its own: that comes first."""
        self.page.evaluate("() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => done()), 50))")
        expect(self.page.locator("h1").first).to_be_attached(timeout=self.waits)
        expect(self.page.locator(BUSY)).to_have_count(0, timeout=self.waits)

    def panel(self, title: str) -> Any:
        return self.page.locator("section.panel", has=self.page.get_by_role("heading", name=title, exact=True))

    def figure(self, name: str) -> str:
        """The number shown under a name."""
        figure = self.page.locator(".figure", has=self.page.locator("dt", has_text=re.compile(f"^{name}$")))
        shown = figure.locator("dd").first
        expect(shown).to_have_text(re.compile(r"\d"), timeout=self.waits)
        return str(shown.inner_text())

    def drawn(self, title: str) -> Any:
        """The values that a panel's chart draws: of its first series; of a heat map (column, row, value)."""
        values = self._chart(title, "chart.data.datasets[0].data")
        return [(cell["x"], cell["y"], cell["v"]) if isinstance(cell, dict) else cell for cell in values]

    def labels(self, title: str) -> Any:
        """What stands below a panel's chart."""
        return self._chart(title, "chart.data.labels")

    def rows(self, title: str) -> Any:
        """What stands beside the rows of a panel's heat map."""
        return self._chart(title, "chart.scales.y.ticks.map(({ label }) => label)")

    def _chart(self, title: str, part: str) -> Any:
        return (
            self.panel(title)
            .locator("canvas")
            .evaluate(
                f"""async (canvas) => {{
                const {{ Chart }} = await import(new URL("static/vendor/chart.js", location.href.split(/[?#]/)[0]));
                while (!Chart.getChart(canvas)) await new Promise(requestAnimationFrame);
                const chart = Chart.getChart(canvas);
                return {part};
            }}"""
            )
        )

    def dates(self, days: Iterable[str], grain: str) -> Any:
        """Days as the browser writes them; with ``grain`` month without the day."""
        return self.page.evaluate(
            """([days, style]) => days.map((day) => new Date(`${day}T00:00:00Z`)
                .toLocaleDateString(undefined, { timeZone: "UTC", month: "short", year: "numeric", ...style }))""",
            [list(days), {} if grain == "month" else {"day": "numeric"}],
        )

    def offered(self, selector: str) -> list[str]:
        """The choices of a select element."""
        return self.page.locator(f"{selector} option").all_inner_texts()

    def drop(self, path: Path, kind: str = "application/zip") -> None:
        """Drag a file from the desktop onto the page."""
        transfer = self.page.evaluate_handle(
            """([content, name, type]) => {
                const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                const transfer = new DataTransfer();
                transfer.items.add(new File([bytes], name, { type }));
                return transfer;
            }""",
            [base64.b64encode(path.read_bytes()).decode(), path.name, kind],
        )
        for event in ("dragover", "drop"):
            self.page.dispatch_event("main", event, {"dataTransfer": transfer, "bubbles": True})

    def violations(self) -> list[str]:
        """What axe-core finds serious on the page as it is."""
        self.page.evaluate(AXE.read_text("utf-8"))
        found = self.page.evaluate(
            """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
                .map(({ id, impact, help, nodes }) => ({ id, impact, help, nodes: nodes.slice(0, 3).map((node) =>
                    `${node.target.join(" ")}: ${node.html.slice(0, 160)} ${(node.any[0] ?? {}).message ?? ""}`) }))"""
        )
        return [
            f"{each['impact']} {each['id']}: {each['help']}\n  " + "\n  ".join(each["nodes"])
            for each in found
            if each["impact"] in SERIOUS
        ]

    def close(self) -> None:
        self.context.close()
