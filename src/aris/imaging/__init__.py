"""Images to pixels: what a reader would see, with the facts that the file states."""

from aris.imaging.film import Film, read_film
from aris.imaging.header import Header, read_header
from aris.imaging.prompt_images import PromptImage, volume_images
from aris.imaging.slides.dicom import Level
from aris.imaging.slides.whole_slide import Patch, Slide, open_slide, patches, slide_images
from aris.imaging.sources import FileSource, HeldFile, Skipped
from aris.imaging.stills import Region, Stills, read_recording, read_stills
from aris.imaging.studies import Instance, Series, Studies, Study, find_studies
from aris.imaging.volumes.nifti import read_nifti
from aris.imaging.volumes.sampling import slice_indices
from aris.imaging.volumes.volume import Volume, read_volume, read_volumes
from aris.imaging.volumes.windows import CT_WINDOWS, ct_rgb

__all__ = [
    "CT_WINDOWS",
    "FileSource",
    "Film",
    "Header",
    "HeldFile",
    "Instance",
    "Level",
    "Patch",
    "PromptImage",
    "Region",
    "Series",
    "Skipped",
    "Slide",
    "Stills",
    "Studies",
    "Study",
    "Volume",
    "ct_rgb",
    "find_studies",
    "open_slide",
    "patches",
    "read_film",
    "read_header",
    "read_nifti",
    "read_recording",
    "read_stills",
    "read_volume",
    "read_volumes",
    "slice_indices",
    "slide_images",
    "volume_images",
]
