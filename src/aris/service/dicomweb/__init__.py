"""DICOMweb as a server: the routes over `exchange.dicomweb`, who may call them, and how much at once."""

from aris.service.dicomweb.app import create_app
from aris.service.dicomweb.running import DicomwebServer
from aris.service.dicomweb.settings import PREFIX, DicomwebLimits, DicomwebSettings

__all__ = ["PREFIX", "DicomwebLimits", "DicomwebServer", "DicomwebSettings", "create_app"]
