"""An OpenID provider as a client sees it (OpenID Connect Core 1.0, RFC 6749, 7636, 9207). Its tokens stay here."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from aris.errors import ArisError, why_not_imported
from aris.flow.settings import OidcSettings
from aris.service.settings import is_loopback

# Asymmetric alone: "none" and shared secrets are refused whatever a token's header says.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
_MOST_BYTES, _TIMEOUT_S, _KEPT_S, _AGAIN_S, _LEEWAY_S = 1 << 20, 10.0, 3600.0, 30.0, 60


class ProviderError(ArisError):
    """The provider cannot be reached, or says what is not to be believed. `code` is for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class SignedIn:
    """A person as the provider's ID token names him.

    Attributes:
        auth_time: when he signed in there, in seconds since 1970; None where the token does not say.
    """

    issuer: str
    subject: str
    claims: Mapping[str, Any]
    auth_time: float | None


class Provider:
    """A provider. Made without asking it anything: it may be down when the server starts.

    Args:
        settings: the site's.

    Raises:
        ArisError: the client's secret cannot be read, or packages are missing.
    """

    def __init__(self, settings: OidcSettings) -> None:
        try:
            import authlib.oidc.core  # noqa: F401
            import joserfc.jwk  # noqa: F401
        except ImportError as error:
            why = why_not_imported(error, "authlib", "joserfc")
            raise ArisError(f"OpenID sign-in: {why}; pip install 'aris-medgemma[oidc]'") from None
        self.settings = settings
        self._secret = _secret(settings.client_secret_file)
        self._lock = threading.Lock()
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, Any] | None = None

    def authorization_url(self, redirect_uri: str, *, state: str, nonce: str, verifier: str, anew: bool) -> str:
        """The address at the provider that a browser is sent to.

        Args:
            verifier: of PKCE; only its SHA-256 is sent.
            anew: the person must show there who he is, signed in or not.

        Raises:
            ProviderError: the provider cannot be asked where that is.
        """
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        asked = {
            "response_type": "code", "client_id": self.settings.client_id, "redirect_uri": redirect_uri,
            "scope": " ".join(dict.fromkeys(("openid", *self.settings.scopes))), "state": state, "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256",
            **({"prompt": "login", "max_age": "0"} if anew else {}),
        }  # fmt: skip
        address = self._endpoint("authorization_endpoint")
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(asked)}"

    def signed_in(self, code: str, redirect_uri: str, *, nonce: str, verifier: str) -> SignedIn:
        """Exchange a code for an ID token, and check it.

        Raises:
            ProviderError: the provider refuses the code, or its token does not hold.
        """
        answer = self._exchange(code, redirect_uri, verifier)
        token = answer.get("id_token")
        if not isinstance(token, str) or len(token) > 65_536:
            raise ProviderError("oidc_failed", "the provider gave no ID token")
        claims = self._checked(token, nonce, answer.get("access_token"))
        at = claims.get("auth_time")
        known = float(at) if isinstance(at, int | float) and not isinstance(at, bool) else None
        return SignedIn(self.settings.issuer, str(claims["sub"]), claims, known)

    def _checked(self, token: str, nonce: str, access_token: Any) -> Mapping[str, Any]:
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError, JoseError

        try:
            try:
                decoded = jwt.decode(token, self._key_set(), algorithms=list(ALGORITHMS))
            except InvalidKeyIdError:  # the provider has new keys
                decoded = jwt.decode(token, self._key_set(fresh=True), algorithms=list(ALGORITHMS))
            client = self.settings.client_id
            claims = CodeIDToken(
                decoded.claims, decoded.header,
                options={"iss": {"essential": True, "value": self.settings.issuer},
                         "aud": {"essential": True, "value": client}},
                params={"nonce": nonce, "client_id": client, "access_token": access_token},
            )  # fmt: skip
            claims.validate(leeway=_LEEWAY_S)
            if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
                raise ValueError
        except (JoseError, ValueError, KeyError, TypeError, AttributeError, UnicodeError, RecursionError) as error:
            # The kind of the fault alone: what the token says stays here.
            what = type(error).__name__
            raise ProviderError("oidc_failed", f"the provider's ID token does not hold ({what})") from None
        return claims

    def _exchange(self, code: str, redirect_uri: str, verifier: str) -> dict[str, Any]:
        from authlib.oauth2.auth import ClientAuth

        address = self._endpoint("token_endpoint")
        supported = self._described().get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = "none" if not self._secret else (
            "client_secret_basic" if "client_secret_basic" in supported else "client_secret_post")  # fmt: skip
        body = urlencode({"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri,
                          "code_verifier": verifier})  # fmt: skip
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        client = ClientAuth(self.settings.client_id, self._secret, method)
        address, headers, body = client.prepare("POST", address, headers, body)
        return self._asked("POST", address, headers=headers, content=body)

    def _key_set(self, *, fresh: bool = False) -> Any:
        """The provider's public keys; asked for again at most every half a minute."""
        from joserfc.jwk import KeySet

        with self._lock:
            kept, now = self._keys, time.monotonic()
        age = None if kept is None else now - kept[0]
        if kept is not None and age is not None and age < (_AGAIN_S if fresh else _KEPT_S):
            return kept[1]
        found = self._asked("GET", self._endpoint("jwks_uri")).get("keys")
        public = [each for each in found if isinstance(each, dict) and each.get("kty") in ("RSA", "EC", "OKP")
                  and each.get("use", "sig") == "sig"] if isinstance(found, list) else []  # fmt: skip
        keys = KeySet.import_key_set({"keys": public})
        with self._lock:
            self._keys = (now, keys)
        return keys

    def _endpoint(self, name: str) -> str:
        address = self._described().get(name)
        if not isinstance(address, str) or not _is_safe(address):
            raise ProviderError("oidc_unavailable", f"the provider's {name} is no https address")
        return address

    def _described(self) -> dict[str, Any]:
        with self._lock:
            kept, now = self._metadata, time.monotonic()
        if kept is not None and now - kept[0] < _KEPT_S:
            return kept[1]
        found = self._asked("GET", f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self.settings.issuer:
            raise ProviderError("oidc_unavailable", "the provider names another issuer than the site's settings")
        with self._lock:
            self._metadata = (now, found)
        return found

    def _asked(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        """An answer of the provider as a JSON object. Redirects are not followed."""
        import ssl

        import httpx2

        data = bytearray()
        try:
            trust: Any = True
            if self.settings.tls_ca is not None:
                trust = ssl.create_default_context(cafile=str(self.settings.tls_ca))
            with (
                httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False, verify=trust) as client,
                client.stream(method, address, **more) as response,
            ):
                for piece in response.iter_bytes():
                    data += piece
                    if len(data) > _MOST_BYTES:
                        raise ProviderError("oidc_unavailable", "the provider's answer is too large")
                status = response.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            what = type(error).__name__
            raise ProviderError("oidc_unavailable", f"the provider cannot be reached ({what})") from None
        if status != 200:
            code = "oidc_failed" if method == "POST" and 400 <= status < 500 else "oidc_unavailable"
            raise ProviderError(code, f"the provider answered with status {status}")
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ProviderError("oidc_unavailable", "the provider's answer is no JSON object")
        return found


def _is_safe(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    )


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ArisError(f"{path}: the OpenID client's secret cannot be read; see docs/workspace_security.md") from None
    if not found:
        raise ArisError(f"{path}: the OpenID client's secret is empty")
    return found
