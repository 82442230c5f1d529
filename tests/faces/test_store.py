"""Files that hold no embeddings or gallery are named, whatever is in them."""

from __future__ import annotations

import numpy as np
import pytest

from arcface_mx.faces.embed import read_embeddings
from arcface_mx.faces.gallery import read_gallery
from arcface_mx.util.errors import UserError


@pytest.mark.parametrize(
    "read, command", [(read_embeddings, "arcface-mx embed"), (read_gallery, "arcface-mx gallery build")]
)
def test_other_files_and_damaged_ones_are_named(tmp_path, read, command):
    path = tmp_path / "x.npz"
    with pytest.raises(UserError, match=f"no such file; make it with {command}"):
        read(str(path))
    np.savez(str(path), other=np.zeros(100))
    whole = path.read_bytes()
    for content in (whole, whole[:-30], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"of {command}"):
            read(str(path))
