"""MR of the brain, the heart, the prostate, the abdomen and the spine."""

from __future__ import annotations

from functools import partial

import numpy as np

from megamedical.catalogue import catalog
from miniatures.collection import Miniature, miniature
from miniatures.files import dicom, picture
from miniatures.phantoms import Drawn, Phantom
from miniatures.volumes import by_itk, channels, mgz, nifti, zipped

AXIAL = ("axial",)


def _pair(mini, archive, image, mask, drawn, axes="RAS", dtype=np.int16) -> None:
    for path, voxels in ((image, drawn.image(dtype)), (mask, drawn.values())):
        content = nifti(voxels, axes)
        mini.put(archive, path, zipped(content) if path.endswith(".gz") else content)


@miniature("brain-development")
def brain_development() -> Miniature:
    """Two atlases whose masks are named in two ways."""
    mini = Miniature()
    groups = catalog()["brain-development"].groups
    for archive, group, end, names in (
        ("Hammers67n20", "hammers-adult", "-seg", ("a01", "a02", "a30")),
        ("PediatricAtlas", "paediatric", "_seg_83ROI", ("CHILD001", "CHILD_02", "x3")),
    ):
        regions = Phantom(groups[group].labels, (30, 30, 30))
        for number, name in enumerate(names):
            drawn = regions.draw(number)
            paths = f"{archive}/images/{name}.nii.gz", f"{archive}/images/{name}{end}.nii.gz"
            _pair(mini, f"{archive}.tar", *paths, drawn, "LPI")
            mini.expect(group, "mri-t1", name, drawn)
    return mini


@miniature("brainmetshare")
def brainmetshare() -> Miniature:
    """A file for each slice, numbered without zeros, so that sorting by name is wrong."""
    mini = Miniature()
    metastasis = Phantom(["metastasis"])
    sequences = (
        ("t1-gradient-echo-post", "mri-t1ce"),
        ("t1-spin-echo-pre", "mri-t1"),
        ("t1-spin-echo-post", "mri-t1ce"),
        ("t2-flair", "mri-flair"),
    )
    for patient in ("Mets_005", "Mets_010", "Mets_011"):
        drawn = metastasis.draw(int(patient[-1]))
        folders = {str(number): drawn.image(np.uint8, 0.7) for number in range(4)}
        folders["seg"] = drawn.values() * np.uint8(255)
        for folder, voxels in folders.items():
            for number, pixels in _slices(voxels):
                path = f"mets_stanford_releaseMask_train/{patient}/{folder}/{number}.png"
                mini.put("mets_stanford_releaseMask_train.tar", path, picture(pixels, "png"))
        for group, modality in sequences:
            mini.expect(group, modality, patient, drawn, planes=AXIAL)
    return mini


@miniature("brats")
def brats() -> Miniature:
    """2021 by its names; 2015 with a number of its own in every name, and a patient seen twice."""
    mini = Miniature()
    tumor = Phantom({1: "necrotic core", 2: "edema", 4: "enhancing tumor"})
    for case in ("00000", "00002", "01666"):
        drawn = tumor.draw(int(case))
        stem = f"BraTS2021_{case}/BraTS2021_{case}"
        for sequence in ("flair", "t1", "t1ce", "t2"):
            archive = "RSNA_ASNR_MICCAI_BraTS2021_TrainingData_16July2021"
            paths = (f"{archive}/{stem}_{end}.nii.gz" for end in (sequence, "seg"))
            _pair(mini, f"{archive}.zip", *paths, drawn, "LPS")
            mini.expect(f"2021-{sequence}", f"mri-{sequence}", case, drawn)
    tumor = Phantom(["necrosis", "edema", "non-enhancing tumor", "enhancing tumor"])
    numbers = iter(range(54512, 60000))
    for grade, scans in (
        ("HGG", ("brats_tcia_pat105_0001", "brats_tcia_pat105_0002", "brats_2013_pat0001_1")),
        ("LGG", ("brats_2013_pat0008_1", "brats_tcia_pat103_0001", "brats_tcia_pat109_0001")),
    ):
        for scan in scans:
            drawn = tumor.draw(int(scan[-1]))
            for sequence in ("Flair", "T1", "T1c", "T2"):
                _vsd(mini, f"{grade}/{scan}", f"MR_{sequence}.{next(numbers)}", drawn.image())
                modality = {"T1c": "mri-t1ce"}.get(sequence, f"mri-{sequence.lower()}")
                group = f"2015-{grade}-{sequence}".lower()
                mini.expect(group, modality, scan, drawn, patient=scan.rpartition("_")[0])
            _vsd(mini, f"{grade}/{scan}", f"OT.{next(numbers)}", drawn.values(), "VSD.Brain_3more")
    return mini


def _vsd(mini, folder, end, voxels, start="VSD.Brain") -> None:
    name = f"{start}.XX.O.{end}"
    path = f"BRATS2015_Training/{folder}/{name}/{name}.mha"
    mini.archives["BRATS2015_Training.tar"] |= by_itk(path, voxels)


@miniature("cdemris")
def cdemris() -> Miniature:
    """The same people before and after, in folders of one name."""
    mini = Miniature()
    _fibrosis(mini, "cdemris.tar", {"pre": "pre", "post": "post"})
    return mini


@miniature("scd")
def scd() -> Miniature:
    """Three challenges in .mhd and .nrrd."""
    mini = Miniature()
    atrium = Phantom(["left atrium"])
    for number, patient in enumerate(("a001", "a002", "b004")):
        drawn = atrium.draw(number)
        archive = mini.archives["las.tar"]
        archive |= by_itk(f"{patient}/image.mhd", drawn.image(), "PIR")
        archive |= by_itk(f"{patient}/gt_binary.mhd", drawn.values() * np.uint8(255), "PIR")
        archive |= by_itk(f"{patient}/gt_std.mhd", drawn.values(), "PIR")
        mini.expect("las", "mri", patient, drawn, planes=AXIAL)
    _fibrosis(mini, "laf.tar", {"pre": "laf-pre", "post": "laf-post"})
    muscle = Phantom(["myocardium"])
    for species in ("human", "pig"):
        for number in (7, 8, 12):
            drawn = muscle.draw(number)
            stem = f"{species}/p{number}/p{number}"
            mini.archives["vis.tar"] |= by_itk(f"{stem}_de.nrrd", drawn.image())
            mini.archives["vis.tar"] |= by_itk(f"{stem}_myo.nrrd", drawn.values())
            mini.expect(f"vis-{species}", "mri", f"p{number}", drawn, planes=AXIAL)
    return mini


def _fibrosis(mini: Miniature, archive: str, groups: dict[str, str]) -> None:
    atrium = Phantom(["left atrium"])
    for when, letter in (("pre", "a"), ("post", "b")):
        for number in (1, 4, 11):
            drawn = atrium.draw(number)
            folder = f"{when}/p{number}"
            image = by_itk(f"{folder}/de_{letter}_{number}.nrrd", drawn.image(), "RAS")
            mask = by_itk(f"{folder}/la_seg_{letter}_{number}.nrrd", drawn.values(), "RAS")
            mini.archives[archive] |= image | mask
            mini.expect(groups[when], "mri", f"p{number}", drawn, planes=AXIAL)


@miniature("chaos")
def chaos() -> Miniature:
    """DICOM whose names run from head to foot, and masks that follow the names."""
    mini = Miniature()
    put = partial(mini.put, "CHAOS_Train_Sets.zip")
    liver = Phantom({255: "liver"})
    for patient in ("1", "2", "14"):
        drawn = liver.draw(int(patient))
        folder = f"Train_Sets/CT/{patient}"
        for place, (number, stored) in enumerate(reversed(_slices(drawn.image() + 900))):
            header = {"patient": patient, "height": 3.0 * number, "intercept": -1024}
            content = dicom(stored, modality="CT", number=place + 1, **header)
            put(f"{folder}/DICOM_anon/i{place:04d},0000b.dcm", content)
        for place, (_, pixels) in enumerate(reversed(_slices(drawn.values()))):
            put(f"{folder}/Ground/liver_GT_{place:03d}.png", picture(pixels, "png"))
        mini.expect("ct", "ct", patient, drawn, planes=AXIAL)
    organs = Phantom({63: "liver", 126: "right kidney", 189: "left kidney", 252: "spleen"})
    for patient in ("1", "3", "39"):
        drawn = organs.draw(int(patient))
        folder = f"Train_Sets/MR/{patient}/T2SPIR"
        images, masks = _slices(drawn.image()), _slices(drawn.values())
        for (number, stored), (_, pixels) in zip(images, masks, strict=True):
            content = dicom(stored, modality="MR", patient=patient, height=8.0 * number)
            put(f"{folder}/DICOM_anon/IMG-0002-{number + 1:05d}.dcm", content)
            put(f"{folder}/Ground/IMG-0002-{number + 1:05d}.png", picture(pixels, "png"))
        put(f"Train_Sets/MR/{patient}/T1DUAL/Ground/IMG-0004-00002.png", b"")
        mini.expect("mr", "mri-t2", patient, drawn, planes=AXIAL)
    return mini


def _slices(voxels) -> list[tuple[int, np.ndarray]]:
    """The slices of (X, Y, Z) from the lowest up, each (Y, X), the front at the top."""
    return [(n, np.ascontiguousarray(voxels[..., n].T)) for n in range(voxels.shape[2])]


@miniature("feta")
def feta() -> Miniature:
    """Reconstructed in two ways, which stand in the names."""
    mini = Miniature()
    tissues = Phantom(
        "external cerebrospinal fluid, grey matter, white matter, ventricles, "
        "cerebellum, deep grey matter, brainstem"
    )
    for subject, method in (("sub-001", "mial"), ("sub-041", "irtk"), ("sub-080", "irtk")):
        drawn = tissues.draw(int(subject[-2:]))
        stem = f"feta_2.3/{subject}/anat/{subject}_rec-{method}"
        paths = f"{stem}_T2w.nii.gz", f"{stem}_dseg.nii.gz"
        _pair(mini, "feta_2.3.zip", *paths, drawn, "RAS", np.float32)
        mini.expect("fetuses", "mri-t2", subject, drawn)
    mini.put("feta_2.3.zip", "feta_2.3/participants.tsv", b"participant_id\n")
    return mini


@miniature("isles2017")
def isles2017() -> Miniature:
    """Numbers of their own in every name, and a series over time that is not used."""
    mini = Miniature()
    infarct = Phantom(["infarct"])
    names = ("ADC", "MTT", "TTP", "Tmax", "rCBF", "rCBV")
    numbers = iter(range(127000, 128000))
    for patient in ("1", "2", "48"):
        drawn = infarct.draw(int(patient))
        files = {f"MR_{name}": drawn.image() for name in names}
        for name, voxels in {**files, "OT": drawn.values()}.items():
            stem = f"VSD.Brain.XX.O.{name}.{next(numbers)}"
            path = f"training/training_{patient}/{stem}/{stem}.nii"
            mini.put("ISLES2017_Training.tar", path, nifti(voxels, "LAS"))
        unused = (
            f"training/training_{patient}/VSD.Brain.XX.O.MR_4DPWI.9/VSD.Brain.XX.O.MR_4DPWI.9.nii"
        )
        mini.put("ISLES2017_Training.tar", unused, b"")
        for name in map(str.lower, names):
            mini.expect(name, f"mri-{name}", patient, drawn, planes=AXIAL)
    return mini


@miniature("lggflair")
def lggflair() -> Miniature:
    """Three scans in the colours of a TIFF for each slice; the label is bright in FLAIR alone."""
    mini = Miniature()
    abnormality = Phantom({255: "abnormality"})
    for patient in ("TCGA_CS_4941_19960909", "TCGA_CS_4942_19970222", "TCGA_HT_A61B_19991127"):
        drawn = abnormality.draw(len(patient))
        flair, mask = _slices(drawn.image(np.uint8, 0.7)), _slices(drawn.values())
        for (number, pixels), (_, masked) in zip(flair, mask, strict=True):
            stem = f"kaggle_3m/{patient}/{patient}_{number + 1}"
            colours = np.stack([255 - pixels, 100 + pixels // 10, 250 - pixels], axis=-1)
            mini.put("lgg-mri-segmentation.zip", f"{stem}.tif", picture(colours, "tiff"))
            mini.put("lgg-mri-segmentation.zip", f"{stem}_mask.tif", picture(masked, "tiff"))
        mini.expect("flair", "mri-flair", patient, drawn, planes=AXIAL)
    mini.put("lgg-mri-segmentation.zip", "kaggle_3m/data.csv", b"Patient\n")
    return mini


@miniature("msd")
def msd() -> Miniature:
    """Ten tasks, one archive each; two have their sequences in a fourth dimension."""
    mini = Miniature()
    for task, prefix, groups, labels in (
        ("Task01_BrainTumour", "BRATS",
         [(f"brain-tumour-{m}", f"mri-{m}") for m in ("flair", "t1", "t1gd", "t2")],
         ["edema", "non-enhancing tumor", "enhancing tumor"]),
        ("Task02_Heart", "la", [("heart", "mri")], ["left atrium"]),
        ("Task03_Liver", "liver", [("liver", "ct")], ["liver", "cancer"]),
        ("Task04_Hippocampus", "hippocampus", [("hippocampus", "mri")],
         ["anterior hippocampus", "posterior hippocampus"]),
        ("Task05_Prostate", "prostate",
         [(f"prostate-{m}", f"mri-{m}") for m in ("t2", "adc")],
         ["peripheral zone", "transition zone"]),
        ("Task06_Lung", "lung", [("lung", "ct")], ["cancer"]),
        ("Task07_Pancreas", "pancreas", [("pancreas", "ct")], ["pancreas", "cancer"]),
        ("Task08_HepaticVessel", "hepaticvessel", [("hepatic-vessel", "ct")], ["vessel", "tumor"]),
        ("Task09_Spleen", "spleen", [("spleen", "ct")], ["spleen"]),
        ("Task10_Colon", "colon", [("colon", "ct")], ["colon cancer primaries"]),
    ):  # fmt: skip
        phantom = Phantom(labels)
        for case in ("001", "003", "077"):
            drawn = phantom.draw(int(case))
            name = f"{prefix}_{case}.nii.gz"
            sequences = [drawn.image(np.float32) for _ in groups]
            image = channels(sequences) if len(groups) > 1 else nifti(sequences[0])
            mini.put(f"{task}.tar", f"{task}/imagesTr/{name}", zipped(image))
            mini.put(f"{task}.tar", f"{task}/labelsTr/{name}", zipped(nifti(drawn.values())))
            mini.put(f"{task}.tar", f"{task}/imagesTr/._{name}", b"Mac OS X")
            planes = AXIAL if task.endswith("Prostate") else ("axial", "coronal", "sagittal")
            for group, modality in groups:
                mini.expect(group, modality, case, drawn, planes=planes)
        mini.put(f"{task}.tar", f"{task}/imagesTs/{prefix}_002.nii.gz", b"")
        mini.put(f"{task}.tar", f"{task}/dataset.json", b"{}")
    return mini


@miniature("i2cvb")
def i2cvb() -> Miniature:
    """One site of several, whose masks are spelt with a capital in some."""
    return _saml("i2cvb.tar", {"HCRUDB": "Segmentation"}, ("axial", "coronal", "sagittal"))


@miniature("nci-isbi")
def nci_isbi() -> Miniature:
    """Two sites with the same numbers; the zones of the prostate are told apart in one."""
    return _saml("nci-isbi.tar", {"RUNMC": "Segmentation", "BMC": "segmentation"}, AXIAL)


def _saml(archive: str, sites: dict[str, str], planes: tuple[str, ...]) -> Miniature:
    mini = Miniature()
    prostate = Phantom({1: "prostate", 2: "prostate"})
    for site, word in sites.items():
        for case in ("00", "01", "13"):
            drawn = prostate.draw(int(case))
            paths = f"{site}/Case{case}.nii.gz", f"{site}/Case{case}_{word}.nii.gz"
            _pair(mini, archive, *paths, drawn, "LPS")
            name = f"{site}-{case}" if len(sites) > 1 else case
            mini.expect("prostate", "mri-t2", name, drawn, planes=planes)
    return mini


@miniature("oasis")
def oasis() -> Miniature:
    """Folders of people, each with versions of the scan that are not used, and one seen twice."""
    mini = Miniature()
    structures = Phantom(catalog()["oasis"].groups["aligned"].labels, (30, 30, 30))
    for person, visit in (("0001", 1), ("0061", 1), ("0061", 2), ("0457", 1)):
        drawn = structures.draw(visit)
        folder = f"OASIS_OAS1_{person}_MR{visit}"
        paths = f"{folder}/aligned_norm.nii.gz", f"{folder}/aligned_seg35.nii.gz"
        _pair(mini, "neurite-oasis.v1.0.tar", *paths, drawn, "LIA", np.float32)
        for unused in ("aligned_orig", "orig", "norm", "seg4", "seg35", "aligned_seg4"):
            mini.put("neurite-oasis.v1.0.tar", f"{folder}/{unused}.nii.gz", b"")
        mini.expect("aligned", "mri-t1", f"{person}-{visit}", drawn, patient=person)
    return mini


@miniature("promise12")
def promise12() -> Miniature:
    """.mhd with its .raw beside it."""
    mini = Miniature()
    prostate = Phantom(["prostate"])
    for case in ("00", "07", "49"):
        drawn = prostate.draw(int(case))
        archive = mini.archives["training_data.zip"]
        archive |= by_itk(f"training_data/Case{case}.mhd", drawn.image())
        archive |= by_itk(f"training_data/Case{case}_segmentation.mhd", drawn.values(np.int8))
        mini.expect("training", "mri-t2", case, drawn, planes=AXIAL)
    return mini


@miniature("spineweb")
def spineweb() -> Miniature:
    """Discs in one mask, each with a value of its own."""
    mini = Miniature()
    names = dict.fromkeys(range(1, 8), "intervertebral discs")
    discs = Phantom(names)
    for case in ("Case1", "Case2", "Case10"):
        drawn = discs.draw(int(case[4:]))
        paths = f"{case}/{case}.nii", f"{case}/{case}_Label.nii"
        archive = "IVD_Challenge_Data"
        _pair(mini, f"{archive}.tar", *(f"{archive}/{path}" for path in paths), drawn, "PIR")
        mini.expect("dataset7", "mri", case, drawn, planes=("sagittal",))
    return mini


@miniature("wmh")
def wmh() -> Miniature:
    """Three hospitals, one of them with a folder for each scanner."""
    mini = Miniature()
    lesions = Phantom(["white matter hyperintensity", "other pathology"])
    for hospital, patient in (
        ("Utrecht", "0"), ("Singapore", "50"), ("Amsterdam/GE3T", "100"),
        ("Amsterdam/Philips_VU .PETMR_01.", "160"),
    ):  # fmt: skip
        drawn = lesions.draw(int(patient))
        folder = f"training/{hospital}/{patient}"
        paths = f"{folder}/pre/FLAIR.nii.gz", f"{folder}/wmh.nii.gz"
        _pair(mini, "wmh.tar", *paths, drawn, "LAS", np.float32)
        for unused in ("pre/T1", "orig/FLAIR", "orig/3DT1"):
            mini.put("wmh.tar", f"{folder}/{unused}.nii.gz", b"")
        mini.expect("flair", "mri-flair", patient, drawn)
    return mini


def _subjects_dir(dataset: str, place: int) -> Miniature:
    """A SUBJECTS_DIR with FreeSurfer's own average in it; a few of its structures."""
    mini = Miniature()
    labels = [*catalog()[dataset].groups["norm"].labels.items()]
    brain = Phantom(dict(labels[place::7]))
    for number, subject in enumerate((f"{dataset}_0050002", "sub-02", "1012")):
        drawn = brain.draw(number)
        _conformed(mini, "SUBJECTS_DIR", f"{subject}/mri", drawn)
        mini.expect("norm", "mri-t1-brain", subject, drawn)
        mini.expect("orig", "mri-t1", subject, drawn)
    _conformed(mini, "SUBJECTS_DIR", "fsaverage/mri", brain.draw(0))
    return mini


def _conformed(mini: Miniature, archive: str, folder: str, drawn: Drawn) -> None:
    image = drawn.image(np.uint8, 0.7)
    mini.put(archive, f"{folder}/norm.mgz", mgz(image))
    mini.put(archive, f"{folder}/orig.mgz", mgz(image))
    mini.put(archive, f"{folder}/aseg.mgz", mgz(drawn.values(np.int32)))


for _place, _dataset in enumerate(("abide", "adhd-200", "adni", "cobre", "gsp", "mcic", "ppmi")):
    miniature(_dataset)(partial(_subjects_dir, _dataset, _place))
