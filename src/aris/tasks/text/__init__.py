"""The wording of prompts, and the parsing of a model's text: sections, assertions, options, boxes."""
