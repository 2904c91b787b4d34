"""A little OpenID provider on loopback: real signatures, PKCE checked, and faults on demand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

CLIENT, SECRET = "aris", "s3cret of the client"


class OidcProvider:
    """A provider.

    Attributes:
        issuer: its address.
        claims: of whoever signs in, a browser at /authorize too, which is asked nothing; faults: what is wrong with the
            next token, by name.
        refuses: whether the person cancels there.
    """

    def __init__(self) -> None:
        self.key: Any = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.foreign = RSAKey.generate_key(2048, {"kid": "one"})
        self.claims: dict[str, Any] = {"sub": "subject-ana", "preferred_username": "ana"}
        self.fault: dict[str, Any] = {}
        self.signing = "own"
        self.down = False
        self.refuses = False
        self.asked: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"

    def signs_in(self, url: str, **claims: Any) -> dict[str, str]:
        """The person signs in where the browser was sent to; return what the browser comes back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}
        assert url.startswith(f"{self.issuer}/authorize?")
        assert asked["client_id"] == CLIENT and asked["response_type"] == "code" and "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
        self.asked.append(asked)
        code = f"code-{len(self.asked)}"
        self._codes[code] = asked
        self.claims |= claims
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def rotate(self) -> None:
        """New keys from now on."""
        self.key = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"})

    def _token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "auth_time": now, "nonce": asked["nonce"],
            **self.claims, **self.fault,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.signing == "none":
            return f"{_part({'alg': 'none'})}.{_part(claims)}."
        if self.signing == "shared":  # the public key as a shared secret
            signed = f"{_part({'alg': 'HS256', 'kid': 'one'})}.{_part(claims)}"
            mac = hmac.new(self.key.as_pem(private=False), signed.encode(), "sha256").digest()
            return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
        key = self.foreign if self.signing == "foreign" else self.key
        kind = "RS256" if isinstance(key, RSAKey) else "ES256"
        return jwt.encode({"alg": kind, "kid": key.kid}, claims, key)

    def _exchanged(self, sent: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        asked = self._codes.pop(sent.get("code", ""), None)
        if authorization != f"Basic {basic}" or asked is None:
            return 400, {"error": "invalid_grant"}
        challenge = base64.urlsafe_b64encode(hashlib.sha256(sent["code_verifier"].encode()).digest()).decode()
        if challenge.rstrip("=") != asked["code_challenge"] or sent["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "never shown", "token_type": "Bearer", "id_token": self._token(asked)}

    def _handler(provider) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/.well-known/openid-configuration":
                    self._say(200, {
                        "issuer": provider.issuer, "authorization_endpoint": f"{provider.issuer}/authorize",
                        "token_endpoint": f"{provider.issuer}/token", "jwks_uri": f"{provider.issuer}/keys",
                        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                    })  # fmt: skip
                elif self.path.startswith("/authorize?"):
                    asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                    refused = {"error": "access_denied", "state": asked["state"], "iss": provider.issuer}
                    back = refused if provider.refuses else provider.signs_in(provider.issuer + self.path)
                    self.send_response(302)
                    self.send_header("Location", f"{asked['redirect_uri']}?{urlencode(back)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    self._say(200, KeySet([provider.key]).as_dict(private=False))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                sent = {name: values[0] for name, values in parse_qs(body).items()}
                self._say(*provider._exchanged(sent, self.headers.get("Authorization", "")))

            def _say(self, status: int, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(503 if provider.down else status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        return Handler

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[OidcProvider]:
        """A provider, while the block lasts."""
        made = cls()
        thread = threading.Thread(target=made._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made._server.shutdown()
            made._server.server_close()
            thread.join()


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
