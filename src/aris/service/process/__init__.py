"""The whole of Aris in one process: workspace, OpenAI's API, DICOM node, DICOMweb and the flow's worker."""
