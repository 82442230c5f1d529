"""Face data: files in, files out, without a model.

``recordio`` reads and writes face sets, ``bins`` verification sets. ``align``, ``pack`` and
``protocols`` make them from images, ``check`` finds what is wrong with them, ``orl`` and
``rendered`` hold the embedded sets. data/README.md describes the formats.
"""
