"""DICOMweb (PS3.18) over the store: what a request asks for and what it is answered. The routes are the service's.

`storing` is STOW-RS, `searching` QIDO-RS, `retrieving`, `frames`, `metadata` and `rendering` are WADO-RS; `multipart`
and `media` are the HTTP below them.
"""
