"""What rendering says where a part that it needs is missing or is not the expected one."""

import ctypes.util
import sys
import zipfile

import pytest

from anykeypoint.data.render import archives as sources
from anykeypoint.data.render.engine import mujoco_module
from anykeypoint.data.render.rendered import write_rendered
from anykeypoint.errors import InputError


def test_without_mujoco_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(InputError, match=r"pip install anykeypoint\[render\]"):
        write_rendered(tmp_path / "out", 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system brings a library to draw with")
def test_without_a_library_to_draw_with_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.delitem(sys.modules, "mujoco", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(InputError, match="apt-get install libosmesa6"):
        mujoco_module()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A wheel that the package index would give for metaworld; the list of downloads."""
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path / "cache"))
    calls = []

    def download(requirement, scratch):
        calls.append(requirement)
        path = scratch / "metaworld.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr("metaworld/assets/a.xml", "<mujoco/>")
            for name in sources.archives()["metaworld"].licence_files:
                wheel.writestr(name, "Free.")
        return path

    monkeypatch.setattr(sources, "download_wheel", download)
    return calls


def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(tmp_path, published):
    with pytest.raises(InputError, match=r"metaworld==3\.1\.1 has the SHA-256 .* was expected; do not use it"):
        sources.fetch_models("metaworld")
    assert list((tmp_path / "cache" / "rendered").iterdir()) == []


def test_models_are_fetched_once(tmp_path, published, monkeypatch):
    class Digest:
        def hexdigest(self):
            return sources.archives()["metaworld"].sha256

    monkeypatch.setattr(sources.hashlib, "file_digest", lambda file, name: Digest())
    lines = []
    folder = sources.fetch_models("metaworld", lines.append)
    assert sources.fetch_models("metaworld", lines.append) == folder
    assert published == ["metaworld==3.1.1"] and lines == ["fetching metaworld==3.1.1 (37 MB, MIT)"]
    assert (folder / "metaworld" / "assets" / "a.xml").read_text() == "<mujoco/>"
    assert sources.licence_text("metaworld", folder) == "Free."
