"""Sign-in and the proof for a signature at a real OpenID provider of another site, in Debian's Chromium."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import studies_to_view as views
from real_process import Screen, chromium, require_browser, send, serving, set_up

from oidc_provider import CLIENT, SECRET, OidcProvider

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_provider_signs_in_and_proves_who_signs(tmp_path: Path) -> None:
    require_browser()
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    with OidcProvider.running() as provider:
        # Another site than the workspace's: what a browser keeps back from other sites is kept back here too.
        provider.issuer = provider.issuer.replace("127.0.0.1", "localhost")
        oidc = {"name": "St. Élan", "issuer": provider.issuer, "client_id": CLIENT, "client_secret_file": str(secret)}
        site = json.dumps({"quiet_s": 0, "workspace": {"oidc": oidc}})
        with serving(tmp_path, "--no-model", site=site) as served, chromium() as browser:
            set_up(served)
            send(served, views.files(views.possible()[:2]))
            screen = Screen(browser, served.url)
            page = screen.page

            def sign_in(said: str = "") -> None:
                page.goto("/signin")
                page.get_by_role("button", name="Sign in with St. Élan").click()
                page.get_by_text(said).wait_for() if said else page.wait_for_url("**/worklist*")

            provider.refuses = True
            sign_in("The sign-in was refused or cancelled.")
            provider.refuses = False
            provider.claims = {"sub": "nobody", "preferred_username": "nobody"}
            sign_in("You are known there, but not here")
            provider.claims = {"sub": "subject-ana", "preferred_username": "ana"}
            sign_in()
            page.goto(f"/study/{views.POSSIBLE}")
            editor = page.locator("[data-context=editor] .cm-content")
            editor.click()
            page.keyboard.type("No nodule. ")
            page.keyboard.press("Control+Enter")
            signing = page.get_by_role("dialog")
            for box in signing.get_by_role("group").get_by_role("checkbox").all():
                box.check(force=True)
            prove = signing.get_by_role("button", name="Sign in again")
            # The provider lets him through on an old sign-in: said in words, and nothing is lost.
            provider.fault = {"auth_time": int(time.time()) - 3600}
            with screen.context.expect_page() as opened:
                prove.click()
            opened.value.get_by_text("did not ask you anew").wait_for()
            opened.value.close()
            # Somebody else signs in there.
            provider.fault = {"sub": "somebody-else"}
            with screen.context.expect_page() as opened:
                prove.click()
            opened.value.get_by_text("Somebody else signed in there").wait_for()
            opened.value.close()
            provider.fault = {}
            prove.click()
            signing.get_by_text("has just confirmed that you are").wait_for()
            signing.get_by_role("button", name="Sign", exact=True).click()
            signing.wait_for(state="detached")
            page.get_by_text("Signed").first.wait_for()
            screen.settled()
            screen.context.close()
