"""The datasets beyond the collection, which are left out unless they are asked for."""

from __future__ import annotations

import nibabel
import numpy as np
from numpy.typing import NDArray

from megamedical.catalogue import catalog
from miniatures.collection import Miniature, miniature
from miniatures.files import picture
from miniatures.phantoms import Drawn, Phantom
from miniatures.volumes import CUBES, Spacing, by_itk, nifti, zipped

_SIZE = (30, 40)
_FLAT: tuple[tuple[int, int, int], Spacing] = ((26, 26, 13), (1.0, 1.0, 2.0))


def _mask(drawn: Drawn, kind: str = "png") -> bytes:
    """Every label as one, black and white."""
    return picture((drawn.values() > 0) * np.uint8(255), kind)


def _bits(drawn: Drawn, kind: str) -> bytes:
    """As `_mask`, with one bit a pixel."""
    return picture(drawn.values() > 0, kind)


def _colour(drawn: Drawn, kind: str = "png") -> bytes:
    """As `_mask`, with three equal colours."""
    return picture(np.stack([(drawn.values() > 0) * np.uint8(255)] * 3, axis=-1), kind)


def _grey(drawn: Drawn) -> NDArray[np.uint8]:
    return drawn.image(np.uint8, 0.7)


def _volumes(
    mini: Miniature,
    archive: str,
    image: str,
    mask: str,
    drawn: Drawn,
    axes: str = "LAS",
    spacing: Spacing = CUBES,
) -> None:
    """An image and its label map, as .nii.gz."""
    mini.put(archive, image, zipped(nifti(drawn.image(), axes, spacing)))
    mini.put(archive, mask, zipped(nifti(drawn.values(), axes, spacing)))


@miniature("busi")
def busi() -> Miniature:
    """Pictures with two lesions have two masks; those with none have an empty one."""
    mini = Miniature()
    lesions = Phantom({1: "lesion", 2: "lesion"}, _SIZE)
    archive, root = "Dataset_BUSI.zip", "Dataset_BUSI_with_GT"
    for number, name in enumerate(("benign (1)", "benign (54)", "malignant (1)")):
        drawn = lesions.draw(number, lacking=() if name == "benign (54)" else (2,))
        stem = f"{root}/{name.partition(' ')[0]}/{name}"
        mini.put(archive, f"{stem}.png", picture(drawn.picture(), "png"))
        for end, mask in zip(("_mask", "_mask_1"), drawn.masks.values(), strict=False):
            mini.put(archive, f"{stem}{end}.png", picture(mask, "png"))
        mini.expect("lesions", "ultrasound", name, drawn)
    nothing = picture(np.zeros(_SIZE, np.uint8), "png")
    for end in ("", "_mask"):
        mini.put(archive, f"{root}/normal/normal (1){end}.png", nothing)
    return mini


@miniature("bus-bra")
def bus_bra() -> Miniature:
    """Two views of one patient; images and masks begin differently."""
    mini = Miniature()
    lesion = Phantom(["lesion"], _SIZE)
    for number, (patient, view) in enumerate(
        (("0001", "l"), ("0001", "r"), ("0002", "s"), ("0345", "l"))
    ):
        drawn = lesion.draw(number)
        name = f"{patient}-{view}.png"
        mini.put("BUSBRA.zip", f"BUSBRA/Images/bus_{name}", picture(_grey(drawn), "png"))
        mini.put("BUSBRA.zip", f"BUSBRA/Masks/mask_{name}", _mask(drawn))
        mini.expect("lesions", "ultrasound", f"{patient}-{view}", drawn, patient=patient)
    mini.put("BUSBRA.zip", "BUSBRA/bus_data.csv", b"ID\n")
    return mini


@miniature("hrf")
def hrf() -> Miniature:
    """Archives without folders, two for each kind of patient; some suffixes are in capitals."""
    mini = Miniature()
    vessel = Phantom(["vessel"], _SIZE)
    for number, (archive, eye, suffix) in enumerate(
        (
            ("healthy", "01_h", "jpg"),
            ("diabetic_retinopathy", "01_dr", "JPG"),
            ("glaucoma", "01_g", "jpg"),
            ("glaucoma", "15_g", "jpg"),
        )
    ):
        drawn = vessel.draw(number)
        mini.put(f"{archive}.zip", f"{eye}.{suffix}", picture(drawn.picture(), "jpeg"))
        mini.put(f"{archive}_manualsegm.zip", f"{eye}.tif", _mask(drawn, "tiff"))
        mini.expect("vessels", "fundus", eye, drawn)
    return mini


@miniature("chase-db1")
def chase_db1() -> Miniature:
    """Both eyes of each child, and two observers whose masks have one bit a pixel."""
    mini = Miniature()
    vessel = Phantom(["vessel"], _SIZE)
    for child in ("01", "02", "14"):
        for side in "LR":
            drawn = [vessel.draw(observer + int(child)) for observer in (0, 1)]
            stem = f"Image_{child}{side}"
            both = Drawn({1: drawn[0].masks[1] | drawn[1].masks[1]}, drawn[0].names)
            mini.put("CHASEDB1.zip", f"{stem}.jpg", picture(both.picture(), "jpeg"))
            for group, end, each in zip(
                ("first-observer", "second-observer"), ("1stHO", "2ndHO"), drawn, strict=True
            ):
                mini.put("CHASEDB1.zip", f"{stem}_{end}.png", _bits(each, "png"))
                mini.expect(group, "fundus", f"{child}{side}", each, patient=child)
    return mini


@miniature("fives")
def fives() -> Miniature:
    """The same numbers in both parts; masks in colour."""
    mini = Miniature()
    vessel = Phantom(["vessel"], _SIZE)
    root = "FIVES A Fundus Image Dataset for AI-based Vessel Segmentation"
    for number, (part, name) in enumerate(
        (("train", "1_A"), ("train", "151_D"), ("test", "1_A"), ("test", "200_N"))
    ):
        drawn = vessel.draw(number)
        folder = f"{root}/{part}"
        mini.put("FIVES.rar", f"{folder}/Original/{name}.png", picture(drawn.picture(), "png"))
        mini.put("FIVES.rar", f"{folder}/Ground truth/{name}.png", _colour(drawn))
        mini.expect("vessels", "fundus", f"{part}-{name}", drawn)
    mini.put("FIVES.rar", f"{root}/Quality Assessment.xlsx", b"-")
    return mini


@miniature("drishti-gs")
def drishti_gs() -> Miniature:
    """Masks that say how many of four experts agree, in a folder of another name for the test."""
    mini = Miniature()
    eyes = Phantom(["optic disc", "optic cup"], _SIZE)
    archive = "drishtigs-retina-dataset-for-onh-segmentation.zip"
    for part, truth, stamp, eye in (
        ("Training", "GT", "20211018T055246Z-001", "002"),
        ("Training", "GT", "20211018T055246Z-001", "101"),
        ("Test", "Test_GT", "20211018T060000Z-001", "001"),
    ):
        drawn = eyes.draw(int(eye))
        folder, name = f"{part}-{stamp}/{part}", f"drishtiGS_{eye}"
        image = picture(drawn.picture(), "png")
        mini.put(archive, f"{folder}/Images/GLAUCOMA/{name}.png", image)
        for value, group, end in ((1, "disc", "ODsegSoftmap"), (2, "cup", "cupsegSoftmap")):
            mask = drawn.masks[value]
            few = np.roll(mask, 3, axis=1) * np.uint8(64)
            soft = np.where(mask, np.uint8(191), few)
            path = f"{folder}/{truth}/{name}/SoftMap/{name}_{end}.png"
            mini.put(archive, path, picture(soft, "png"))
            mini.expect(group, "fundus", eye, Drawn({value: mask}, drawn.names))
        mini.put(archive, f"{folder}/{truth}/{name}/{name}_cdrValues.txt", b"0.7\n")
    return mini


@miniature("isic2018")
def isic2018() -> Miniature:
    """An archive of pictures and one of masks for each part."""
    mini = Miniature()
    lesion = Phantom(["lesion"], _SIZE)
    for part, name in (
        ("Training", "ISIC_0000000"), ("Training", "ISIC_0016072"),
        ("Validation", "ISIC_0012255"), ("Test", "ISIC_0012169"),
    ):  # fmt: skip
        drawn = lesion.draw(int(name[-1]))
        images, masks = f"ISIC2018_Task1-2_{part}_Input", f"ISIC2018_Task1_{part}_GroundTruth"
        mini.put(f"{images}.zip", f"{images}/{name}.jpg", picture(drawn.picture(), "jpeg"))
        mini.put(f"{masks}.zip", f"{masks}/{name}_segmentation.png", _mask(drawn))
        mini.expect("lesions", "dermoscopy", name, drawn)
        for folder in (images, masks):
            mini.put(f"{folder}.zip", f"{folder}/LICENSE.txt", b"-")
    return mini


@miniature("ph2")
def ph2() -> Miniature:
    """A folder for each picture, with masks of regions that are not used."""
    mini = Miniature()
    lesion = Phantom(["lesion"], _SIZE)
    for name in ("IMD002", "IMD003", "IMD437"):
        drawn = lesion.draw(int(name[-1]))
        folder = f"PH2Dataset/PH2 Dataset images/{name}"
        path = f"{folder}/{name}_Dermoscopic_Image/{name}.bmp"
        mini.put("PH2Dataset.rar", path, picture(drawn.picture(), "bmp"))
        path = f"{folder}/{name}_lesion/{name}_lesion.bmp"
        mini.put("PH2Dataset.rar", path, _bits(drawn, "bmp"))
        mini.put("PH2Dataset.rar", f"{folder}/{name}_roi/{name}_R1_Label2.bmp", b"")
        mini.expect("lesions", "dermoscopy", name, drawn)
    return mini


@miniature("kvasir-seg")
def kvasir_seg() -> Miniature:
    """Masks in JPEG, with colours, and not quite black and white."""
    mini = Miniature()
    polyp = Phantom(["polyp"], _SIZE)
    for number, name in enumerate(("cju0qkwl35piu0993l0dewei2", "cju16ach3m1da0993r1dq3sn2", "ck")):
        drawn = polyp.draw(number)
        image = picture(drawn.picture(), "jpeg")
        mini.put("kvasir-seg.zip", f"Kvasir-SEG/images/{name}.jpg", image)
        mini.put("kvasir-seg.zip", f"Kvasir-SEG/masks/{name}.jpg", _colour(drawn, "jpeg"))
        mini.expect("polyps", "endoscopy", name, drawn)
    mini.put("kvasir-seg.zip", "Kvasir-SEG/kavsir_bboxes.json", b"{}")
    return mini


@miniature("cholecseg8k")
def cholecseg8k() -> Miniature:
    """Clips of operations; labels are greys in three or four channels."""
    mini = Miniature()
    labels = catalog()["cholecseg8k"].groups["frames"].labels
    seen = Phantom(labels, (48, 60))
    for video, start, frame, depth in (
        ("video01", "00080", 80, 3), ("video01", "00160", 160, 4),
        ("video12", "15750", 15751, 3), ("video55", "00508", 508, 3),
    ):  # fmt: skip
        drawn = seen.draw(frame, lacking=list(labels)[frame % 3 :: 4])
        grey = drawn.values()
        grey[grey == 0], grey[:, -2:] = 50, 255
        channels = [grey] * 3 + [np.full_like(grey, 255)]
        clip = f"{video}_{start}"
        stem = f"{video}/{clip}/frame_{frame}_endo"
        put = mini.put
        put("cholecseg8k.zip", f"{stem}.png", picture(drawn.picture(), "png"))
        mask = picture(np.stack(channels[:depth], axis=-1), "png")
        put("cholecseg8k.zip", f"{stem}_watershed_mask.png", mask)
        put("cholecseg8k.zip", f"{stem}_color_mask.png", b"")
        put("cholecseg8k.zip", f"{stem}_mask.png", b"")
        mini.expect("frames", "endoscopy", f"{clip}-{frame}", drawn, patient=video)
    return mini


@miniature("montgomery")
def montgomery() -> Miniature:
    """A mask for each lung, with one bit a pixel."""
    mini = Miniature()
    lungs = Phantom(["left lung", "right lung"], _SIZE)
    archive, root = "NLM-MontgomeryCXRSet.zip", "MontgomerySet"
    for name in ("MCUCXR_0001_0", "MCUCXR_0002_0", "MCUCXR_0399_1"):
        drawn = lungs.draw(int(name[10]))
        mini.put(archive, f"{root}/CXR_png/{name}.png", picture(_grey(drawn), "png"))
        for value, folder in ((1, "leftMask"), (2, "rightMask")):
            mask = picture(drawn.masks[value], "png")
            mini.put(archive, f"{root}/ManualMask/{folder}/{name}.png", mask)
        mini.put(archive, f"{root}/ClinicalReadings/{name}.txt", b"Patient's Sex: F\n")
        mini.expect("lungs", "xray", name, drawn)
    return mini


@miniature("dca1")
def dca1() -> Miniature:
    """Pictures and masks in one folder, numbered without zeros."""
    mini = Miniature()
    artery = Phantom(["coronary artery"], _SIZE)
    for number in (1, 2, 134):
        drawn = artery.draw(number)
        stem = f"Database_134_Angiograms/{number}"
        mini.put("DB_Angiograms_134.zip", f"{stem}.pgm", picture(_grey(drawn), "ppm"))
        mini.put("DB_Angiograms_134.zip", f"{stem}_gt.pgm", _mask(drawn, "ppm"))
        mini.expect("arteries", "xray-angiography", str(number), drawn)
    return mini


@miniature("tn3k")
def tn3k() -> Miniature:
    """The same numbers in both parts, masks in JPEG, and other datasets in the archive."""
    mini = Miniature()
    nodule = Phantom(["nodule"], _SIZE)
    for part, name in (("trainval", "0000"), ("trainval", "0001"), ("test", "0000")):
        drawn = nodule.draw(int(name))
        root = f"Thyroid Dataset/tn3k/{part}"
        mini.put("tn3k.zip", f"{root}-image/{name}.jpg", picture(_grey(drawn), "jpeg"))
        mini.put("tn3k.zip", f"{root}-mask/{name}.jpg", _mask(drawn, "jpeg"))
        mini.expect("nodules", "ultrasound", f"{part}-{name}", drawn)
    mini.put("tn3k.zip", "Thyroid Dataset/tg3k/thyroid-image/0000.jpg", b"")
    return mini


@miniature("mnms2")
def mnms2() -> Miniature:
    """Long-axis pictures that are volumes of one slice, beside stacks that are not used."""
    mini = Miniature()
    heart = Phantom(["left ventricle", "myocardium", "right ventricle"], _SIZE)

    def slab(pixels: NDArray) -> bytes:
        affine = np.diag([1.2, 1.2, 10.0, 1.0])
        return zipped(nibabel.Nifti1Image(pixels.T[..., None], affine).to_bytes())

    for patient in ("001", "002", "360"):
        folder = f"MnM2/dataset/{patient}/{patient}"
        for number, phase in enumerate(("ED", "ES")):
            drawn = heart.draw(number + int(patient))
            mini.put("MnM2.tar", f"{folder}_LA_{phase}.nii.gz", slab(drawn.image()))
            mini.put("MnM2.tar", f"{folder}_LA_{phase}_gt.nii.gz", slab(drawn.values()))
            mini.put("MnM2.tar", f"{folder}_SA_{phase}.nii.gz", b"")
            mini.expect(f"la-{phase.lower()}", "mri", patient, drawn)
        mini.put("MnM2.tar", f"{folder}_LA_CINE.nii.gz", b"")
    return mini


@miniature("hvsmr2")
def hvsmr2() -> Miniature:
    """A chamber that is missing, and masks of where vessels end, which are not used."""
    mini = Miniature()
    hearts = Phantom(catalog()["hvsmr2"].groups["hearts"].labels)
    for patient, lacking in (("pat0", ()), ("pat1", (4,)), ("pat59", ())):
        drawn = hearts.draw(int(patient[3:]), lacking)
        stem = f"orig/{patient}_orig"
        _volumes(mini, "orig.zip", f"{stem}.nii.gz", f"{stem}_seg.nii.gz", drawn, "PIR")
        mini.put("orig.zip", f"{stem}_seg_endpoints.nii.gz", b"")
        mini.expect("hearts", "mri", patient, drawn)
    return mini


@miniature("totalsegmentator-mri")
def totalsegmentator_mri() -> Miniature:
    """A file for each of 50 structures, all in each folder, many of them empty."""
    mini = Miniature()
    labels = catalog()["totalsegmentator-mri"].groups["mri"].labels
    structures = Phantom(labels, (33, 33, 33))
    archive, spacing = "TotalsegmentatorMRI_dataset_v300.zip", (3.0, 3.0, 3.0)
    for patient in ("s0001", "s0004", "s1296"):
        number = int(patient[1:])
        drawn = structures.draw(number, [value for value in labels if value % 3 == number % 3])
        folder = f"Totalsegmentator_dataset_v300/{patient}"
        mini.put(archive, f"{folder}/mri.nii.gz", zipped(nifti(drawn.image(), "RAS", spacing)))
        empty = np.zeros(drawn.shape, bool)
        for value, name in labels.items():
            mask = drawn.masks.get(value, empty).astype(np.uint8)
            path = f"{folder}/segmentations/{name.replace(' ', '_')}.nii.gz"
            mini.put(archive, path, zipped(nifti(mask, "RAS", spacing)))
        mini.expect("mri", "mri", patient, drawn, spacing=spacing)
    mini.put(archive, "Totalsegmentator_dataset_v300/meta.csv", b"image_id\n")
    return mini


@miniature("isles2022")
def isles2022() -> Miniature:
    """BIDS, with masks in a tree of their own, and FLAIR on another grid."""
    mini = Miniature()
    infarct = Phantom(["infarct"])
    archive, root = "ISLES-2022.zip", "ISLES-2022"
    for number in (1, 2, 250):
        drawn = infarct.draw(number)
        patient = f"sub-strokecase{number:04d}"
        name = f"{patient}/ses-0001/{{}}{patient}_ses-0001"
        mask = f"{root}/derivatives/{name.format('')}_msk.nii.gz"
        for group in ("dwi", "adc"):
            image = f"{root}/{name.format('dwi/')}_{group}.nii.gz"
            _volumes(mini, archive, image, mask, drawn, "LPS")
            mini.expect(group, f"mri-{group}", patient, drawn, planes=("axial",))
        mini.put(archive, f"{root}/{name.format('anat/')}_FLAIR.nii.gz", b"")
        mini.put(archive, f"{root}/derivatives/{name.format('')}_snp.png", b"")
    mini.put(archive, f"{root}/participants.tsv", b"participant_id\n")
    return mini


@miniature("atlas2")
def atlas2() -> Miniature:
    """BIDS in folders of sites; the test part has no masks and is not packed."""
    mini = Miniature()
    lesion = Phantom(["stroke lesion"])
    for site, patient in (("R001", "r001s001"), ("R001", "r001s002"), ("R052", "r052s032")):
        drawn = lesion.draw(int(patient[-1]))
        name = f"sub-{patient}_ses-1_space-MNI152NLin2009aSym"
        stem = f"ATLAS_2/Training/{site}/sub-{patient}/ses-1/anat/{name}"
        paths = f"{stem}_T1w.nii.gz", f"{stem}_label-L_desc-T1lesion_mask.nii.gz"
        _volumes(mini, "ATLAS_2.tar", *paths, drawn, "RAS")
        subject = f"sub-{patient}-ses-1"
        mini.expect("training", "mri-t1", subject, drawn, patient=f"sub-{patient}")
        description = f"ATLAS_2/Training/{site}/dataset_description.json"
        mini.put("ATLAS_2.tar", description, b"{}")
    return mini


@miniature("abdomenct-1k")
def abdomenct_1k() -> Miniature:
    """Images in three archives, masks in a fourth that has no folder."""
    mini = Miniature()
    shape, spacing = _FLAT
    organs = Phantom(["liver", "kidney", "spleen", "pancreas"], shape)
    for part, case in ((1, "00001"), (2, "00400"), (3, "01062")):
        drawn = organs.draw(int(case))
        archive = f"AbdomenCT-1K-ImagePart{part}"
        image = zipped(nifti(drawn.image(), "LAS", spacing))
        mini.put(f"{archive}.zip", f"{archive}/Case_{case}_0000.nii.gz", image)
        mask = zipped(nifti(drawn.values(), "LAS", spacing))
        mini.put("Mask.7z", f"Case_{case}.nii.gz", mask)
        mini.expect("abdomen", "ct", case, drawn, spacing=spacing)
    return mini


@miniature("kits23")
def kits23() -> Miniature:
    """The first axis runs from head to foot; what each annotator drew is beside the whole."""
    mini = Miniature()
    shape, spacing = _FLAT
    kidney = Phantom(["kidney", "tumor", "cyst"], shape)
    for case, lacking in (("00000", ()), ("00042", (3,)), ("00587", ())):
        drawn = kidney.draw(int(case), lacking)
        folder = f"dataset/case_{case}"
        paths = f"{folder}/imaging.nii.gz", f"{folder}/segmentation.nii.gz"
        _volumes(mini, "kits23.tar", *paths, drawn, "IPL", spacing)
        path = f"{folder}/instances/kidney_instance-1_annotation-1.nii.gz"
        mini.put("kits23.tar", path, b"")
        mini.expect("training", "ct", case, drawn, spacing=spacing)
    return mini


@miniature("spider")
def spider() -> Miniature:
    """Structures numbered from the lowest up; patients lack one scan or another."""
    mini = Miniature()
    everything = {**dict.fromkeys((1, 109), "vertebrae"), 100: "spinal canal",
                  **dict.fromkeys((201, 202), "intervertebral discs")}  # fmt: skip
    for number, (patient, vertebra, disc) in enumerate(
        (("1", 1, 201), ("2", 9, 203), ("98", 109, 209), ("257", 0, 0))
    ):
        few = {vertebra: "vertebrae", 100: "spinal canal", disc: "intervertebral discs"}
        drawn = Phantom(few if vertebra else everything).draw(number)
        for group, sequence in (("t1", "t1"), ("t2", "t2"), ("t2-space", "t2_SPACE")):
            if (patient, group) in (("1", "t2-space"), ("98", "t1")):
                continue
            name = f"{patient}_{sequence}.mha"
            mini.archives["images.zip"] |= by_itk(f"images/{name}", drawn.image(), "PIR")
            mask = by_itk(f"masks/{name}", drawn.values(), "PIR", packed=True)
            mini.archives["masks.zip"] |= mask
            mini.expect(group, f"mri-{group}", patient, drawn, planes=("sagittal",))
    return mini


@miniature("brats-men")
def brats_men() -> Miniature:
    """The names of 2023, and a patient seen twice."""
    mini = Miniature()
    labels = catalog()["brats-men"].groups["flair"].labels
    tumor = Phantom(labels)
    archive = "ASNR-MICCAI-BraTS2023-MEN-Challenge-TrainingData.zip"
    for patient, visit in (("00004", "000"), ("00004", "001"), ("00008", "000"), ("01438", "000")):
        drawn = tumor.draw(int(patient))
        scan = f"BraTS-MEN-{patient}-{visit}"
        stem = f"BraTS-MEN-Train/{scan}/{scan}"
        for end, group in (("t2f", "flair"), ("t1n", "t1"), ("t1c", "t1ce"), ("t2w", "t2")):
            paths = f"{stem}-{end}.nii.gz", f"{stem}-seg.nii.gz"
            _volumes(mini, archive, *paths, drawn, "LPS")
            subject = f"{patient}-{visit}"
            mini.expect(group, f"mri-{group}", subject, drawn, patient=patient)
    return mini
