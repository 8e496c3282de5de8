"""A clinician with a phone: a real Chromium of 360x640 with a camera that shows a test picture, and its own memory."""

import re
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.faults.platform import Platform, eventually
from tests.launch.waiting import BROWSER_PATIENCE_MS

PIN = "730415"


class Phone:
    """Opens on ``start``; ``close`` and ``start`` again keep what the browser keeps."""

    def __init__(self, chromium: Browser, platform: Platform, folder: Path, **options: Any) -> None:
        self.chromium, self.platform, self.folder = chromium, platform, folder
        self.port: int = options.pop("port", platform.port)
        self.camera: bool = options.pop("camera", True)
        #: Passkeys want a name, not a number.
        self.host: str = options.pop("host", "127.0.0.1")
        self.options = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True} | options
        self.complaints: list[str] = []
        self.start()

    def start(self) -> None:
        """Open the browser with the memory it had."""
        self.context: BrowserContext = self.chromium.browser_type.launch_persistent_context(
            self.folder,
            executable_path=_own_chromium(),
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                *(["--use-fake-ui-for-media-stream"] if self.camera else []),
                "--disable-background-networking",
                "--no-first-run",
            ],
            **self.options,
        )
        self.context.set_default_timeout(BROWSER_PATIENCE_MS)
        self.page: Page = self.context.pages[0]
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: dialog.accept())

    def close(self) -> None:
        """Close the browser."""
        self.context.close()

    @property
    def base(self) -> str:
        """Where the server is."""
        return f"http://{self.host}:{self.port}"

    # --- ways -----------------------------------------------------------------------------------------------------
    def sign_in(self, email: str = "clinician@demo.example") -> None:
        """Through the form, as anybody does."""
        self.page.goto(f"{self.base}/sign-in/?next=/capture/")
        self.fill_sign_in(email, self.page)

    def fill_sign_in(self, email: str, page: Page) -> None:
        """And send it."""
        password = (self.platform.var / "secrets" / "demo-password").read_text().strip()
        page.locator("input[type=email]").fill(email)
        page.locator("input[type=password]").fill(password)
        page.locator("main form [type=submit]").click()

    def signed_out(self) -> None:
        """Wait for the page to sign in; several answers may lead there at once, and the last one counts."""
        expect(self.page).to_have_url(re.compile("/sign-in/"))
        expect(self.page.locator("input[type=email]")).to_be_visible()

    def choose_pin(self, pin: str = PIN) -> None:
        """The first time on this phone."""
        self.page.locator("#new-pin").fill(pin)
        self.page.locator("#new-pin-again").fill(pin)
        self.page.locator("#set-pin .primary").click()
        expect(self.page.locator("#greeting")).to_be_visible()

    def begin(self) -> None:
        """Sign in and choose a PIN; wait until the app is kept for offline use."""
        self.sign_in()
        self.choose_pin()
        self.page.evaluate("navigator.serviceWorker.ready.then(() => true)")

    def lock(self) -> None:
        """By the menu."""
        self.page.locator("#open-menu").click()
        self.page.locator("#lock-now").click()
        expect(self.page.locator("#unlock")).to_be_visible()

    def unlock(self, pin: str = PIN) -> None:
        """With the PIN."""
        self.page.locator("#pin").fill(pin)
        self.page.locator("#unlock .primary").click()

    # --- steps of a case ------------------------------------------------------------------------------------------
    def new_case(self) -> None:
        """From the first screen."""
        self.page.locator(".new-case").click()
        expect(self.page.locator("#record-number")).to_be_visible()

    def new_patient(self, number: str | None = None, name: str = "Maria Lindqvist") -> str:
        """Describe a patient whom the server does not know."""
        number = number or f"P-{uuid4()}"
        self.page.locator("#record-number").fill(number)
        self.page.locator("#find-patient-button").click()
        expect(self.page.locator("#new-patient")).to_be_visible()
        self.page.locator("#patient-name").fill(name)
        self.page.locator("#birth-date").fill("1961-04-17")
        self.page.locator("#new-patient .primary").click()
        return number

    def consent(self, *scopes: str) -> None:
        """To these scopes, with a signature."""
        for scope in scopes:
            self.tick(f"[data-scope={scope}]")
        if scopes:
            self.tick("[name=method][value=signature]")
            self.sign()
        self.next("consent")

    def sign(self) -> None:
        """With a finger."""
        pad = self.page.locator("#signature")
        pad.scroll_into_view_if_needed()
        box = pad.bounding_box()
        assert box is not None
        mouse = self.page.mouse
        mouse.move(box["x"] + 30, box["y"] + 70)
        mouse.down()
        for step in range(1, 20):
            mouse.move(box["x"] + 30 + 12 * step, box["y"] + 70 + (25 if step % 2 else -25))
        mouse.up()

    def site(self, region: str = "abdomen") -> None:
        """Tap it on the body."""
        self.page.locator(f".body[data-side=front] [data-region={region}]").click()
        self.next("site")

    def photograph(self, file: Path, kind: str = "dermoscopic") -> None:
        """From the phone's gallery."""
        expect(self.page.locator("#slots")).to_be_visible()
        before = self.page.locator(".shot").count()
        self.page.locator(f"[data-kind={kind}] [type=file]").set_input_files(file)
        expect(self.page.locator(".shot")).to_have_count(before + 1)

    def history(self, *yes: str) -> None:
        """These with yes, the others with no."""
        for code in yes:
            self.tick(f"[name=q-{code}][value=yes]")
        self.page.locator("#rest-no").click()
        self.next("history")

    def impression(self, suspicion: str = "unsure") -> None:
        """What the clinician thinks."""
        self.tick(f"[name=suspicion][value={suspicion}]")
        self.next("impression")

    def tick(self, selector: str) -> None:
        """Tick a box or a radio button, once it is to be seen.

        Playwright leaves alone what is ticked, hidden or not: here what the last case left ticked, until its step is
        shown again.
        """
        box = self.page.locator(selector)
        expect(box).to_be_visible()
        box.check()

    def next(self, screen: str) -> None:
        """To the next step."""
        self.page.locator(f"[data-screen={screen}] [data-next]").click()

    def to_review(self, photograph: Path, *scopes: str) -> str:
        """A whole case of a new patient, up to the last look."""
        self.new_case()
        number = self.new_patient()
        self.consent(*(scopes or ("analysis", "teledermatology")))
        self.site()
        self.photograph(photograph)
        self.next("photographs")
        self.history("irregular_colour")
        self.impression()
        expect(self.page.locator("#submit-case")).to_be_visible()
        return number

    def submit(self) -> None:
        """The case."""
        self.page.locator("#submit-case").click()

    def until(self, expression: str) -> None:
        """Wait until it holds in the page; of what is not there yet, nothing holds.

        Playwright's own way needs eval, which our policy forbids.
        """
        holds = f"(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()"
        eventually(expression, lambda: bool(self.page.evaluate(holds)))

    def text(self, key: str) -> str:
        """What the app says by this key, in the page's language."""
        found: str = self.page.evaluate("(key) => JSON.parse(configuration.textContent).texts[key]", key)
        return found

    # --- looking --------------------------------------------------------------------------------------------------
    def unsent(self) -> int:
        """How many cases wait on the phone."""
        found: int = self.page.evaluate(UNSENT)
        return found

    def held_in_the_page(self) -> str:
        """All that the page holds, shown or hidden, with what stands in its fields, as one text."""
        found: str = self.page.evaluate(
            "document.body.innerHTML"
            " + [...document.querySelectorAll('input, textarea, select')].map((field) => field.value).join('\\n')"
        )
        return found

    def memory(self) -> str:
        """All that the page's origin keeps, as one text: IndexedDB, caches, storage."""
        found: str = self.page.evaluate(MEMORY)
        return found

    def on_disk(self, *secrets: str) -> list[str]:
        """Files of the browser's whole profile in which one of these stands; call it with the browser closed."""
        return [
            f"{file.relative_to(self.folder)}: {secret}"
            for file in self.folder.rglob("*")
            if file.is_file()
            for content in [file.read_bytes()]
            for secret in secrets
            if secret.encode() in content or secret.encode("utf-16-le") in content
        ]


UNSENT = """() => new Promise((resolve) => {
  const open = indexedDB.open("skincare-capture");
  open.onsuccess = () => {
    const count = open.result.transaction("outbox").objectStore("outbox").count();
    count.onsuccess = () => { open.result.close(); resolve(count.result); };
  };
})"""

MEMORY = """async () => {
  const parts = [];
  const show = (value) => {
    if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
      const bytes = new Uint8Array(value.buffer || value);
      return `${bytes.length} bytes ` + new TextDecoder("latin1").decode(bytes);
    }
    if (value && typeof value === "object") return Object.entries(value).map(([k, v]) => `${k}=${show(v)}`).join("\\n");
    return String(value);
  };
  const handle = await new Promise((resolve) => {
    const open = indexedDB.open("skincare-capture");
    open.onsuccess = () => resolve(open.result);
  });
  for (const store of handle.objectStoreNames) {
    const rows = await new Promise((resolve) => {
      const all = handle.transaction(store).objectStore(store).getAll();
      all.onsuccess = () => resolve(all.result);
    });
    for (const row of rows) parts.push(`[${store}] ${show(row)}`);
  }
  handle.close();
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      parts.push(`[cache] ${request.url}`);
      parts.push(await (await cache.match(request)).text());
    }
  }
  parts.push(JSON.stringify(Object.entries(localStorage)), JSON.stringify(Object.entries(sessionStorage)));
  return parts.join("\\n");
}"""


def _own_chromium() -> str | None:
    return next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
