"""CT of the abdomen, the chest and the spine."""

from __future__ import annotations

from megamedical.catalogue import catalog
from miniatures.collection import Miniature, miniature
from miniatures.phantoms import Phantom
from miniatures.volumes import by_itk, nifti, zipped

# Voxels are flat, as most CT has them; the standard grid is a cube all the same.
_SHAPE = (26, 26, 13)
_SPACING = (1.0, 1.0, 2.0)


def _pair(mini, archive, image, mask, drawn, axes="LAS", *, tilt=0.0) -> None:
    """An image and its label map, as .nii or .nii.gz."""
    for path, voxels in ((image, drawn.image()), (mask, drawn.values())):
        content = nifti(voxels, axes, _SPACING, tilt)
        mini.put(archive, path, zipped(content) if path.endswith(".gz") else content)


@miniature("amos")
def amos() -> Miniature:
    """CT and MR in the same folders, told apart by their numbers; the test part has no labels."""
    mini = Miniature()
    organs = Phantom(
        (
            "spleen, right kidney, left kidney, gallbladder, esophagus, liver, stomach, "
            "aorta, postcava, pancreas, right adrenal gland, left adrenal gland, duodenum, "
            "bladder, prostate or uterus"
        ),
        _SHAPE,
    )
    for part, case in (
        ("Tr", 1), ("Tr", 117), ("Va", 500), ("Va", 8), ("Tr", 507), ("Tr", 588), ("Va", 600),
    ):  # fmt: skip
        drawn = organs.draw(case)
        name = f"amos_{case:04d}.nii.gz"
        _pair(
            mini, "amos22.zip", f"amos22/images{part}/{name}", f"amos22/labels{part}/{name}", drawn
        )
        group = ("ct", "ct") if case <= 500 else ("mri", "mri")
        mini.expect(*group, f"{case:04d}", drawn, spacing=_SPACING)
    mini.put("amos22.zip", "amos22/imagesTs/amos_0002.nii.gz", b"")
    mini.put("amos22.zip", "amos22/dataset.json", b"{}")
    return mini


@miniature("btcv")
def btcv() -> Miniature:
    """Oblique by a few degrees, some organs missing in some patients."""
    mini = Miniature()
    organs = Phantom(
        (
            "spleen, right kidney, left kidney, gallbladder, esophagus, liver, stomach, "
            "aorta, inferior vena cava, portal vein and splenic vein, pancreas, right "
            "adrenal gland, left adrenal gland"
        ),
        _SHAPE,
    )
    for case, lacking in (("0001", ()), ("0004", (4,)), ("0010", (2, 13)), ("0040", ())):
        drawn = organs.draw(int(case), lacking)
        folder = "RawData/Training"
        paths = f"{folder}/img/img{case}.nii.gz", f"{folder}/label/label{case}.nii.gz"
        _pair(mini, "RawData.zip", *paths, drawn, "RAS", tilt=4)
        mini.expect("abdomen", "ct", case, drawn, spacing=_SPACING)
    mini.put("RawData.zip", "RawData/Testing/img/img0061.nii.gz", b"")
    return mini


@miniature("flare21")
def flare21() -> Miniature:
    """Images end in _0000, masks do not."""
    mini = Miniature()
    organs = Phantom(["liver", "kidney", "spleen", "pancreas"], _SHAPE)
    for case in ("000", "017", "360"):
        drawn = organs.draw(int(case))
        paths = f"TrainingImg/train_{case}_0000.nii.gz", f"TrainingMask/train_{case}.nii.gz"
        _pair(mini, "FLARE21.tar", *paths, drawn, "LPS")
        mini.expect("training", "ct", case, drawn, spacing=_SPACING)
    return mini


@miniature("kits19")
def kits19() -> Miniature:
    """The first axis runs from head to foot; test cases have no segmentation."""
    mini = Miniature()
    kidney = Phantom(["kidney", "tumor"], _SHAPE)
    for case in ("00000", "00042", "00209"):
        drawn = kidney.draw(int(case))
        folder = f"data/case_{case}"
        paths = f"{folder}/imaging.nii.gz", f"{folder}/segmentation.nii.gz"
        _pair(mini, "kits19.tar", *paths, drawn, "IPL")
        mini.expect("training", "ct", case, drawn, spacing=_SPACING)
    mini.put("kits19.tar", "data/case_00210/imaging.nii.gz", b"")
    mini.put("kits19.tar", "data/kits.json", b"[]")
    return mini


@miniature("lits")
def lits() -> Miniature:
    """Plain .nii in the deep folders of the first batch."""
    mini = Miniature()
    liver = Phantom(["liver", "tumor"], _SHAPE)
    for batch, case in ((1, 0), (1, 27), (2, 28), (2, 130)):
        drawn = liver.draw(case, lacking=(2,) if case == 28 else ())
        folder = f"media/nas/01_Datasets/CT/LITS/Training Batch {batch}"
        paths = f"{folder}/volume-{case}.nii", f"{folder}/segmentation-{case}.nii"
        _pair(mini, f"Training_Batch{batch}.zip", *paths, drawn, "RAS")
        mini.expect("training", "ct", str(case), drawn, spacing=_SPACING)
    return mini


@miniature("luna16")
def luna16() -> Miniature:
    """UIDs with many dots that begin alike; masks with compressed voxels, over several archives."""
    mini = Miniature()
    lungs = Phantom({3: "left lung", 4: "right lung", 5: "trachea"}, _SHAPE)
    mini.archives |= {f"subset{n}.zip": {f"subset{n}/readme.txt": b"-"} for n in range(10)}
    for subset, last in ((0, "105756658031515062000744821260"), (0, "1057566"), (9, "99")):
        uid = f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{last}"
        drawn = lungs.draw(subset)
        image = by_itk(f"subset{subset}/{uid}.mhd", drawn.image(), spacing=_SPACING)
        mask = by_itk(f"seg-lungs-LUNA16/{uid}.mhd", drawn.values(), spacing=_SPACING, packed=True)
        mini.archives[f"subset{subset}.zip"] |= image
        mini.archives["seg-lungs-LUNA16.zip"] |= mask
        mini.expect("lungs", "ct", uid, drawn, spacing=_SPACING)
    return mini


@miniature("segthor")
def segthor() -> Miniature:
    """Every mask has the same name, in its patient's folder."""
    mini = Miniature()
    organs = Phantom(["esophagus", "heart", "trachea", "aorta"], _SHAPE)
    for patient in ("01", "02", "40"):
        drawn = organs.draw(int(patient))
        folder = f"Patient_{patient}"
        paths = f"{folder}/Patient_{patient}.nii.gz", f"{folder}/GT.nii.gz"
        _pair(mini, "SegTHOR.zip", *paths, drawn, "LAS")
        mini.expect("train", "ct", patient, drawn, spacing=_SPACING)
    return mini


@miniature("totalsegmentator")
def totalsegmentator() -> Miniature:
    """A file for each of 104 structures, all in each folder, most of them empty in most."""
    mini = Miniature()
    labels = catalog()["totalsegmentator"].groups["ct"].labels
    structures = Phantom(labels, (33, 33, 33))
    for patient in ("s0000", "s0004", "s1429"):
        lacking = [value for value in labels if value % 3 == int(patient[1:]) % 3]
        drawn = structures.draw(int(patient[1:]), lacking)
        folder = f"Totalsegmentator_dataset/{patient}"
        spacing = (1.5, 1.5, 1.5)
        archive = "Totalsegmentator_dataset.zip"
        mini.put(archive, f"{folder}/ct.nii.gz", zipped(nifti(drawn.image(), "RAS", spacing)))
        for value, name in labels.items():
            mask = drawn.masks.get(value, drawn.values() > 200).astype("uint8")
            path = f"{folder}/segmentations/{name.replace(' ', '_')}.nii.gz"
            mini.put(archive, path, zipped(nifti(mask, "RAS", spacing)))
        mini.expect("ct", "ct", patient, drawn, spacing=spacing)
    mini.put("Totalsegmentator_dataset.zip", "Totalsegmentator_dataset/meta.csv", b"image_id\n")
    return mini


@miniature("verse")
def verse() -> Miniature:
    """BIDS names; one patient with two scans, and one that is in both years."""
    mini = Miniature()
    vertebrae = {16: "vertebra T9", 20: "vertebra L1", 25: "vertebra L6", 28: "vertebra T13"}
    spine = Phantom(vertebrae, _SHAPE)
    archives = [f"dataset-verse{y}{part}.zip" for y in (19, 20) for part in
                ("training", "validation", "test")]  # fmt: skip
    for archive in archives:
        mini.put(archive, f"{archive[:-4]}/dataset_description.json", b"{}")
    for archive, root, patient, scan, group in (
        (0, "dataset-verse19training", "sub-verse004", "sub-verse004", "verse19"),
        (0, "dataset-verse19training", "sub-verse401", "sub-verse401_split-verse253", "verse19"),
        (0, "dataset-verse19training", "sub-verse401", "sub-verse401_split-verse260", "verse19"),
        (2, "dataset-verse19test", "sub-verse012", "sub-verse012", "verse19"),
        (3, "dataset-01training", "sub-gl003", "sub-gl003_dir-ax", "verse20"),
        (4, "dataset-02validation", "sub-verse500", "sub-verse500_dir-sag", "verse20"),
        (5, "dataset-03test", "sub-verse004", "sub-verse004", "verse20"),
    ):
        drawn = spine.draw(archive)
        paths = (
            f"{root}/rawdata/{patient}/{scan}_ct.nii.gz",
            f"{root}/derivatives/{patient}/{scan}_seg-vert_msk.nii.gz",
        )
        _pair(mini, archives[archive], *paths, drawn, "PIR")
        centroids = f"{root}/derivatives/{patient}/{scan}_seg-subreg_ctd.json"
        mini.put(archives[archive], centroids, b"[]")
        mini.expect(group, "ct", scan, drawn, patient=patient, spacing=_SPACING)
    return mini


@miniature("word")
def word() -> Miniature:
    """Two parts with labels; the test part is left out."""
    mini = Miniature()
    organs = Phantom(
        (
            "liver, spleen, left kidney, right kidney, stomach, gallbladder, esophagus, "
            "pancreas, duodenum, colon, intestine, adrenal, rectum, bladder, left head of "
            "femur, right head of femur"
        ),
        _SHAPE,
    )
    for part, case in (("Tr", "0002"), ("Tr", "0004"), ("Val", "0001")):
        drawn = organs.draw(int(case))
        folder, name = "WORD-V0.1.0", f"word_{case}.nii.gz"
        paths = f"{folder}/images{part}/{name}", f"{folder}/labels{part}/{name}"
        _pair(mini, "WORD-V0.1.0.zip", *paths, drawn, "RPS")
        mini.expect("abdomen", "ct", case, drawn, spacing=_SPACING)
    mini.put("WORD-V0.1.0.zip", "WORD-V0.1.0/imagesTs/word_0014.nii.gz", b"")
    return mini
