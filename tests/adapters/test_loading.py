"""Weights by name and path, in the library's names and the authors'; and one line for whatever is missing."""

import json
import pickle
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from geosam.adapters import FAMILIES, find_source, load, published, sam2, sources
from geosam.adapters.renaming import DECODER, HEADS, POSITIONS, PROMPTS, renamed, shared_positions
from geosam.adapters.sam import SamAdapter
from geosam.adapters.sam2 import Sam2Adapter
from geosam.catalog.job import ModelSpec
from geosam.errors import GeosamError, ModelError, WeightsError
from geosam.models import build, load_model, models, to_predictor
from geosam.sam.model import SamSpec
from geosam.segmenter import PromptBatch

RNG = np.random.default_rng(2)
PIXELS = RNG.integers(0, 256, (3, 128, 128), dtype=np.uint8)
CLICKS = {"points": RNG.uniform(5, 120, (4, 2, 2)).astype(np.float32), "labels": np.array([[1, 0]] * 4)}

AUTHORS = (
    (r"\bshared_embedding\.positional_embedding\b", "pe_layer.positional_encoding_gaussian_matrix"),
    (r"\bmask_embed\.conv1\b", "mask_downscaling.0"),
    (r"\bmask_embed\.layer_norm1\b", "mask_downscaling.1"),
    (r"\bmask_embed\.conv2\b", "mask_downscaling.3"),
    (r"\bmask_embed\.layer_norm2\b", "mask_downscaling.4"),
    (r"\bmask_embed\.conv3\b", "mask_downscaling.6"),
    (r"\bupscale_conv1\b", "output_upscaling.0"),
    (r"\bupscale_layer_norm\b", "output_upscaling.1"),
    (r"\bupscale_conv2\b", "output_upscaling.3"),
    (r"\blayer_norm_final_attn\b", "norm_final_attn"),
    (r"(_mlps\.\d+|_head|hq_mask_mlp)\.layers\.0\b", r"\1.layers.1"),
    (r"(_mlps\.\d+|_head|hq_mask_mlp)\.proj_in\b", r"\1.layers.0"),
    (r"(_mlps\.\d+|_head|hq_mask_mlp)\.proj_out\b", r"\1.layers.2"),
    (r"\.layer_norm(\d)\b", r".norm\1"),
    (r"\bpoint_embed\b", "point_embeddings"),
    (r"\bpatch_embed\.projection\b", "patch_embed.proj"),
)
"""From the library's names to those of SAM's authors."""

AUTHORS_HQ = (
    (r"\bvision_encoder\.neck\.conv1\b", "image_encoder.neck.0"),
    (r"\bvision_encoder\.neck\.layer_norm1\b", "image_encoder.neck.1"),
    (r"\bvision_encoder\.neck\.conv2\b", "image_encoder.neck.2"),
    (r"\bvision_encoder\.neck\.layer_norm2\b", "image_encoder.neck.3"),
    *AUTHORS,
    (r"\bhq_token\b", "hf_token"),
    (r"\bhq_mask_mlp\b", "hf_mlp"),
    (r"\bcompress_vit_conv1\b", "compress_vit_feat.0"),
    (r"\bcompress_vit_norm\b", "compress_vit_feat.1"),
    (r"\bcompress_vit_conv2\b", "compress_vit_feat.3"),
    (r"\bencoder_conv1\b", "embedding_encoder.0"),
    (r"\bencoder_norm\b", "embedding_encoder.1"),
    (r"\bencoder_conv2\b", "embedding_encoder.3"),
    (r"\bmask_conv1\b", "embedding_maskfeature.0"),
    (r"\bmask_norm\b", "embedding_maskfeature.1"),
    (r"\bmask_conv2\b", "embedding_maskfeature.3"),
    (r"^vision_encoder\.layers\b", "image_encoder.blocks"),
    (r"^vision_encoder\b", "image_encoder"),
)

AUTHORS_2 = (
    *AUTHORS,
    (r"\bmlp\.proj_in\b", "mlp.layers.0"),
    (r"\bmlp\.proj_out\b", "mlp.layers.1"),
    (r"\bo_proj\b", "out_proj"),
    (r"^prompt_encoder\b", "sam_prompt_encoder"),
    (r"^mask_decoder\b", "sam_mask_decoder"),
    (r"^no_memory_embedding\b", "no_mem_embed"),
    (r"^vision_encoder\.backbone\b", "image_encoder.trunk"),
    (r"^vision_encoder\.neck\.convs\.(\d+)\b", r"image_encoder.neck.convs.\1.conv"),
)


def by_the_authors(model: torch.nn.Module, rules: tuple[tuple[str, str], ...]) -> dict[str, torch.Tensor]:
    """The parameters of a model of the library as its authors name them."""
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith("shared_image")}
    return renamed(kept, rules)


def first_line(error: GeosamError) -> str:
    text = str(error)
    assert "\n" not in text
    return text


def test_a_folder_is_loaded_by_its_path_once(folder, make_model):
    found = load_model(folder)
    assert isinstance(found, Sam2Adapter)
    assert found is load_model(str(folder))
    assert found.name == "small"
    expected = Sam2Adapter(make_model("Sam2Model"), name="", key="").encode(PIXELS)
    assert all(np.array_equal(one, other) for one, other in zip(found.encode(PIXELS), expected, strict=True))


def test_a_folder_of_a_video_model_is_the_same(folder, tmp_path):
    # the published folders of SAM 2 say that they hold the video model, whose memory is left out
    video = shutil.copytree(folder, tmp_path / "video")
    settings = json.loads((video / "config.json").read_text())
    (video / "config.json").write_text(json.dumps(settings | {"model_type": "sam2_video"}))
    arrays, others = load_model(video).encode(PIXELS), load_model(folder).encode(PIXELS)
    assert all(np.array_equal(one, other) for one, other in zip(arrays, others, strict=True))


def test_a_folder_says_how_pixels_are_normalised(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}')
    image = load_model(other).image(PIXELS).numpy()
    np.testing.assert_allclose(image, (PIXELS / 255 - 0.5) / 0.25, atol=1e-5)
    assert find_source(other).key != find_source(folder).key


def test_the_key_changes_with_the_weights_and_travels(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "small")
    assert find_source(copy).key == find_source(folder).key
    spec = pickle.loads(pickle.dumps(ModelSpec.of(copy)))
    assert spec.key == spec.load().key
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert find_source(copy).key != find_source(folder).key


def test_the_list_says_licence_needs_and_where(monkeypatch, folder):
    rows = {row.name: row for row in models()}
    assert {"sam2.1_tiny", "sam2.1_small", "sam2.1_base_plus", "sam2.1_large", "edgetam", "sam3"} <= rows.keys()
    assert {"sam_hq_vit_b", "sam_hq_vit_l", "sam_hq_vit_h"} <= rows.keys()
    assert all(rows[each.name].licence and "geosam[transformers]" in rows[each.name].needs for each in published())
    assert len({each.name for each in published()}) == len(published())
    assert rows["sam3"].side == 1008
    monkeypatch.setattr(sources, "where", lambda each: folder if each.name == "sam2.1_tiny" else None)
    assert find_source("sam2.1_tiny").published
    assert load_model("sam2.1_tiny").name == "sam2.1_tiny"
    assert ModelSpec.of("sam2.1_tiny").source == "sam2.1_tiny"


def test_names_of_geosam_go_first(tmp_path, monkeypatch, library):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano").mkdir()
    assert load_model("nano").name == "nano"


def test_sam_agrees_with_geosams_own(library):
    sizes = {"width": 48, "depth": 3, "heads": 4, "global_blocks": (1, 2), "window": 3}
    spec = SamSpec("tiny", "vit", sizes, side=128, width=32, decoder_sizes={"mlp": 64, "iou_hidden": 32})
    torch.manual_seed(0)
    own = build(spec)
    with torch.no_grad():
        for value in own.parameters():
            value.normal_(0, 0.2)
    state = {name: value for name, value in own.state_dict().items() if not name.startswith("pixel_")}
    names = (
        *PROMPTS,
        *DECODER,
        *HEADS,
        (r"^image_encoder\.blocks\b", "vision_encoder.layers"),
        (r"^image_encoder\b", "vision_encoder"),
        (r"\bneck\.0\b", "neck.conv1"),
        (r"\bneck\.1\b", "neck.layer_norm1"),
        (r"\bneck\.2\b", "neck.conv2"),
        (r"\bneck\.3\b", "neck.layer_norm2"),
        (r"\bpatch_embed\.proj\b", "patch_embed.projection"),
        (r"\.norm(\d)\b", r".layer_norm\1"),
    )
    vision = {"hidden_size": 48, "output_channels": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    vision |= {"image_size": 128, "window_size": 3, "global_attn_indexes": [1, 2], "num_pos_feats": 16}
    settings = library.SamConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 32, "image_size": 128},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 64, "iou_head_hidden_dim": 32},
    )
    model = library.SamModel(settings)
    model.load_state_dict(shared_positions(renamed(state, names)), strict=True)
    mine, theirs = to_predictor(own, "own"), SamAdapter(model, name="sam", key="sam")
    for shape in ((128, 128), (50, 128)):
        pixels = PIXELS[:, : shape[0], : shape[1]]
        arrays, others = mine.encode(pixels), theirs.encode(pixels)
        np.testing.assert_allclose(arrays[0], others[0], atol=1e-2 * np.abs(arrays[0]).max())
        assert mine.logits_shape(shape) == theirs.logits_shape(shape)
        boxes = np.array([[10, 12, 60, 40]] * 4, np.float32)
        masks = RNG.normal(0, 3, (4, *mine.logits_shape(shape))).astype(np.float32)
        for more in ({}, {"boxes": boxes}, {"mask_logits": masks}, {"boxes": boxes, "multimask": False}):
            how = {"multimask": more.pop("multimask", True)}
            asked = PromptBatch(CLICKS["points"] % 50, CLICKS["labels"], **more)
            pairs = zip(mine.decode(others, asked, **how), theirs.decode(others, asked, **how), strict=True)
            for one, other in pairs:
                np.testing.assert_allclose(one, other, atol=2e-3 * max(1.0, np.abs(other).max()))


def test_the_authors_sam_hq_loads(make_model, tmp_path):
    model = make_model("SamHQModel")
    state = by_the_authors(model, AUTHORS_HQ)
    assert "mask_decoder.hf_token.weight" in state
    assert "image_encoder.blocks.0.attn.qkv.weight" in state
    path = tmp_path / "sam_hq_vit_x.pth"
    torch.save(state | {"pixel_mean": torch.zeros(3, 1, 1)}, path)
    source = find_source(path)
    assert source is not None
    settings, found = source.family.convert(state)
    expected = model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    kinds = ("vision_config", "mask_decoder_config", "prompt_encoder_config")
    given = {kind: {name: getattr(getattr(model.config, kind), name) for name in settings[kind]} for kind in kinds}
    assert settings == given


def test_the_authors_sam2_loads(library, tmp_path, monkeypatch):
    sizes = {"heads": 1, "blocks": [1, 1, 2, 1], "across": [3]}
    monkeypatch.setattr(sam2, "_SIZES", {(8, 5): sizes})
    settings = sam2._configuration(8, **sizes)
    model = library.Sam2Model(library.Sam2Config(**settings)).eval()
    state = by_the_authors(model, AUTHORS_2)
    kinds = state.pop("sam_prompt_encoder.point_embeddings.weight")
    state |= {f"sam_prompt_encoder.point_embeddings.{kind}.weight": kinds[kind : kind + 1] for kind in range(4)}
    assert "image_encoder.trunk.blocks.0.mlp.layers.0.weight" in state
    path = tmp_path / "sam2.1_hiera_tiny.pt"
    torch.save({"model": state | {"maskmem_tpos_enc": torch.zeros(7)}}, path)
    found = load_model(path)
    assert found.name == "sam2.1_hiera_tiny"
    assert found.side == 1024
    expected = model.state_dict()
    expected["shared_image_embedding.positional_embedding"] = expected[POSITIONS]  # random models hold two of them
    assert all(torch.equal(value, expected[name]) for name, value in found.model.state_dict().items())
    state["image_encoder.trunk.blocks.0.attn.qkv.weight"] = torch.zeros(3, 3)
    torch.save({"model": state}, path)
    with pytest.raises(WeightsError, match=r"of other shapes: 1 \(vision_encoder\.backbone\.blocks\.0\.attn") as caught:
        load_model(path)
    first_line(caught.value)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("image_encoder.trunk.body.stem_0.conv.c.weight", "hf download yonigozlan/EdgeTAM-hf"),
        ("detector.backbone.vision_backbone.trunk.pos_embed", "hf download facebook/sam3"),
    ],
)
def test_authors_files_without_a_way_say_where_there_is_one(library, tmp_path, name, cure):
    torch.save({"model": {name: torch.zeros(3)}}, tmp_path / "their.pt")
    with pytest.raises(WeightsError, match=cure):
        load_model(tmp_path / "their.pt")


def test_without_the_library_one_line_says_how_to_get_it(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setattr(sources, "where", lambda _: None)
    for name in ("sam2.1_tiny", "sam3", str(shutil.copytree(folder, folder.parent / "fresh"))):
        with pytest.raises(ModelError, match=re.escape('pip install "geosam[transformers]"')) as caught:
            load_model(name)
        first_line(caught.value)


def test_a_download_that_fails_says_what_to_do(monkeypatch, library):
    import huggingface_hub as hub

    def refuse(*_: object, **__: object) -> None:
        raise OSError("Name or service not known\nand more")

    monkeypatch.setattr(hub, "snapshot_download", refuse)
    with pytest.raises(WeightsError, match=re.escape("`hf download facebook/sam2.1-hiera-tiny`")) as caught:
        load_model("sam2.1_tiny")
    assert "and more" not in first_line(caught.value)
    with pytest.raises(WeightsError, match=re.escape("https://huggingface.co/facebook/sam3")) as caught:
        load_model("sam3")
    assert "accept the licence" in first_line(caught.value)


def test_a_download_fetches_settings_and_safetensors_only(monkeypatch, library, folder):
    import huggingface_hub as hub

    asked = []

    def fetch(repository: str, **how: object) -> str:
        if how.get("local_files_only"):
            raise OSError("not there")
        asked.append((repository, how["allow_patterns"]))
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    assert load_model("sam2.1_small").name == "sam2.1_small"
    assert asked[0][0] == "facebook/sam2.1-hiera-small"
    assert not any("bin" in pattern or pattern == "*" for pattern in asked[0][1])


def test_edgetam_without_its_backbones_library_says_so(library, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "edgetam"}')
    save_file({"nothing": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    if library.utils.is_timm_available():
        pytest.skip("timm is installed")
    with pytest.raises(ModelError, match="timm, torchvision") as caught:
        load_model(tmp_path)
    first_line(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"model_type": 7}', '{"model_type": "bert"}', "\udcff", "null"])
def test_settings_of_something_else_are_refused(folder, tmp_path, text):
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match="other") as caught:
        load_model(other)
    first_line(caught.value)


def test_damaged_or_partial_weights_are_refused(folder, tmp_path, library):
    other = shutil.copytree(folder, tmp_path / "other")
    weights = other / "model.safetensors"
    state = load_file(weights)
    lacking = {name: value for name, value in state.items() if "conv_s0" not in name}
    save_file(lacking, weights, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="missing: 2"):
        load_model(other)
    save_file(state | {"no_memory_embedding": torch.zeros(1, 1, 5)}, weights, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="other"):
        load_model(other)
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cannot be read") as caught:
        load_model(other)
    first_line(caught.value)
    weights.unlink()
    with pytest.raises(WeightsError, match="has no weights"):
        load_model(other)


class Code:
    """Runs when it is unpickled, if anybody lets it."""

    def __reduce__(self):
        return print, ("run",)


def test_code_in_a_folder_is_not_run(folder, tmp_path, capsys):
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "model.safetensors").unlink()
    torch.save({"no_memory_embedding": Code()}, other / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_model(other)
    assert capsys.readouterr().out == ""


def test_a_folder_of_nothing_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="nano, nano2, vit_b"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match="has no config"):
        load_model(tmp_path)


def test_every_family_says_what_it_is():
    kinds = [kind for family in FAMILIES for kind in family.kinds]
    assert len(set(kinds)) == len(kinds)
    assert all(isinstance(family.squash, bool) for family in FAMILIES)


def test_loading_is_silent(folder, tmp_path, capfd, library):
    load(find_source(shutil.copytree(folder, tmp_path / "silent")))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("command", ["segment", "encode", "evaluate"])
def test_the_command_line_takes_a_folder(folder, tmp_path, command, library):
    from typer.testing import CliRunner

    from geosam.cli import app
    from geosam.testing import blob_labels, label_scene

    labels = blob_labels((128, 160), count=4, large=0)
    scene = label_scene(tmp_path / "scene.tif", labels)
    if command == "evaluate":
        from PIL import Image

        (tmp_path / "set").mkdir()
        Image.fromarray(PIXELS.transpose(1, 2, 0)).save(tmp_path / "set" / "one.png")
        Image.fromarray((np.indices((128, 128)).sum(0) > 120).astype(np.uint8)).save(tmp_path / "set" / "one_ids.png")
    given = {
        "segment": [str(scene), "-o", str(tmp_path / "out.gpkg"), "--spacing", "64", "--window", "128"],
        "encode": [str(scene), "--store", str(tmp_path / "store"), "--window", "128"],
        "evaluate": [str(tmp_path / "set"), "--no-everything"],
    }[command]
    result = CliRunner().invoke(app, [command, *given, "--model", str(folder), "--quiet"])
    assert result.exit_code == 0, result.output
    if command == "segment":
        import geopandas as gpd

        assert gpd.read_file(tmp_path / "out.gpkg", layer="out").geometry.is_valid.all()


def test_paths_of_other_kinds_are_left_to_geosam(tmp_path):
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    assert find_source(tmp_path / "broken.pt") is None
    assert find_source(Path("absent.pt")) is None
    assert find_source("vit_b") is None
