"""Callers: a CDS client's JWT, signed with a key of its own that is known here."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aris.errors import ArisError
from aris.service.cds_hooks.problems import HookError

# Asymmetric alone: "none" and shared secrets are refused whatever a token's header says.
ALGORITHMS = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA")
_LEEWAY_S = 60
_LONGEST_S = 3600
_MOST_KEPT = 100_000
_LONGEST_TOKEN = 16_384
_REFUSED = "the client's JWT is missing or not valid"


class Clients:
    """The clients that may call.

    Args:
        files: by issuer, a JWKS file of its public keys.
        base_url: the address that clients call.

    Raises:
        ArisError: a file cannot be read, holds no public key, or a shared or private one.
    """

    def __init__(self, files: Mapping[str, Path], base_url: str) -> None:
        self._keys = {issuer: _read(issuer, path) for issuer, path in files.items()}
        self._base = base_url.rstrip("/")
        self._used: OrderedDict[tuple[str, str], float] = OrderedDict()

    @property
    def configured(self) -> bool:
        """Tell whether calls must be signed."""
        return bool(self._keys)

    def require(self, authorization: str, path: str) -> None:
        """Check the Authorization header of a call.

        Args:
            authorization: its value.
            path: of the endpoint that was called; the token's audience must be its address.

        Raises:
            HookError: 401. It does not say what was wrong: whoever forges tokens learns nothing.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN:
            raise HookError(401, _REFUSED)
        from joserfc import jws, jwt
        from joserfc.errors import JoseError

        try:
            unverified = jws.extract_compact(token.encode())
            issuer = json.loads(unverified.payload).get("iss")
            keys = self._keys[issuer]
            claims = jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
        except (JoseError, ValueError, KeyError, TypeError, AttributeError, UnicodeError, RecursionError):
            raise HookError(401, _REFUSED) from None
        self._require_claims(claims, issuer, path)

    def _require_claims(self, claims: Mapping[str, Any], issuer: str, path: str) -> None:
        now = time.time()
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        issued, ends, id = _time(claims.get("iat")), _time(claims.get("exp")), claims.get("jti")
        if issued is None or ends is None or not isinstance(id, str) or not 0 < len(id) <= 500:
            raise HookError(401, _REFUSED)
        good = (
            claims.get("iss") == issuer
            and f"{self._base}{path}" in audiences
            and now - _LEEWAY_S < ends <= issued + _LONGEST_S
            and issued <= now + _LEEWAY_S
        )
        if not good or self._is_used(issuer, id, ends, now):
            raise HookError(401, _REFUSED)

    def _is_used(self, issuer: str, id: str, ends: float, now: float) -> bool:
        """Tell whether a token was used before; it is noted until it ends."""
        while self._used and (next(iter(self._used.values())) < now or len(self._used) >= _MOST_KEPT):
            self._used.popitem(last=False)
        if (issuer, id) in self._used:
            return True
        self._used[issuer, id] = ends + _LEEWAY_S
        return False


def _time(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _read(issuer: str, path: Path) -> Any:
    try:
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet
    except ImportError:
        raise ArisError("CDS Hooks: JWTs need the package joserfc: pip install 'aris-medgemma[jwt]'") from None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        kinds = [(each.get("kty"), "d" in each) for each in data["keys"]]
        if not kinds or any(kty == "oct" or private for kty, private in kinds):
            raise ArisError(f"{path}: keys of {issuer!r:.100} must be public ones (RSA, EC or OKP), and at least one")
        return KeySet.import_key_set(data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, JoseError):
        raise ArisError(f"{path}: no key set (JWKS) of {issuer!r:.100}") from None
