"""Pictures: of the eye, under the microscope, with ultrasound and X-rays."""

from __future__ import annotations

import io
import json

import numpy as np
from numpy.typing import NDArray

from miniatures.collection import Miniature, miniature
from miniatures.files import picture, spreadsheet, video_of
from miniatures.phantoms import Drawn, Phantom
from miniatures.volumes import zipped

_SIZE = (30, 40)


def _mask(drawn: Drawn, kind: str = "png", high: int = 255) -> bytes:
    """Every label as one, black and white."""
    return picture((drawn.values() > 0) * np.uint8(high), kind)


@miniature("bbbc003")
def bbbc003() -> Miniature:
    """Pictures in one zip, masks in another, in other formats."""
    mini = Miniature()
    embryo = Phantom(["embryo"], _SIZE)
    for number, name in enumerate(("7_19_M1E3", "7_19_M2E5", "7_19_M16E12")):
        drawn = embryo.draw(number)
        image = picture(drawn.image(np.uint8, 0.7), "tiff")
        mini.put("BBBC003_v1_images.zip", f"mouse_embryos_dic_images/{name}.tif", image)
        path = f"mouse_embryos_dic_foreground/{name}.png"
        mini.put("BBBC003_v1_foreground.zip", path, _mask(drawn))
        mini.expect("embryos", "microscopy", name, drawn)
    return mini


@miniature("bbbc038")
def bbbc038() -> Miniature:
    """A file for each nucleus, by its hash; pictures have an alpha channel."""
    mini = Miniature()
    nuclei = Phantom(dict.fromkeys(range(1, 6), "nucleus"), _SIZE)
    for number, name in enumerate(("00071198d059ba7f", "003cee89357d9fe1", "00ae65c1c6631ae6")):
        drawn = nuclei.draw(number)
        colours = np.dstack([drawn.picture(), np.full(_SIZE, 255, np.uint8)])
        mini.put("stage1_train.zip", f"{name}/images/{name}.png", picture(colours, "png"))
        for value, mask in drawn.masks.items():
            path = f"{name}/masks/{value * 7919:064x}.png"
            mini.put("stage1_train.zip", path, picture(mask * np.uint8(255), "png"))
        mini.expect("stage1-train", "microscopy", name, drawn)
    return mini


@miniature("bus")
def bus() -> Miniature:
    """Masks with smoothed edges."""
    mini = Miniature()
    lesion = Phantom(["lesion"], _SIZE)
    for number in (1, 2, 163):
        drawn = lesion.draw(number)
        name = f"{number:06d}.png"
        smooth = (drawn.values() * np.uint8(255)).copy()
        smooth[1:][(smooth[1:] == 0) & (smooth[:-1] == 255)] = 90
        mini.put("BUS.zip", f"BUS/original/{name}", picture(drawn.image(np.uint8, 0.7), "png"))
        mini.put("BUS.zip", f"BUS/GT/{name}", picture(smooth, "png"))
        mini.expect("lesions", "ultrasound", name[:-4], drawn)
    mini.put("BUS.zip", "BUS/DatasetB.xlsx", b"")
    return mini


@miniature("camus")
def camus() -> Miniature:
    """Flat NIfTI, whose first axis runs along the rows; half sequences that are not used."""
    import nibabel

    mini = Miniature()
    heart = Phantom(["left ventricle", "myocardium", "left atrium"], _SIZE)

    def flat(pixels: NDArray) -> bytes:
        return zipped(nibabel.Nifti1Image(pixels.T, np.diag([0.3, 0.15, 1, 1])).to_bytes())

    for patient in ("patient0001", "patient0002", "patient0500"):
        folder = f"database_nifti/{patient}"
        for number, view in enumerate(("2CH_ED", "2CH_ES", "4CH_ED", "4CH_ES")):
            drawn = heart.draw(number)
            stem = f"{folder}/{patient}_{view}"
            mini.put("CAMUS.zip", f"{stem}.nii.gz", flat(drawn.image(np.uint8, 0.7)))
            mini.put("CAMUS.zip", f"{stem}_gt.nii.gz", flat(drawn.values()))
            group = view.lower().replace("_", "-")
            mini.expect(group, "ultrasound", patient, drawn)
        mini.put("CAMUS.zip", f"{folder}/{patient}_2CH_half_sequence.nii.gz", b"")
        mini.put("CAMUS.zip", f"{folder}/Info_2CH.cfg", b"ED: 1\n")
    return mini


@miniature("chexlocalize")
def chexlocalize() -> Miniature:
    """One JSON of run lengths for all pictures, in both of COCO's forms; labels overlap."""
    mini = Miniature()
    put = mini.put
    labels = (
        "Enlarged Cardiomediastinum, Cardiomegaly, Lung Lesion, Airspace Opacity, "
        "Edema, Consolidation, Atelectasis, Pneumothorax, Pleural Effusion, Support "
        "Devices"
    )
    said = {}
    for number, (patient, view, lacking) in enumerate(
        (
            ("patient64541", "view1_frontal", (3, 8)),
            ("patient64622", "view1_frontal", ()),
            ("patient64622", "view2_frontal", (1,)),
            ("patient64740", "view1_frontal", (10,)),
        )
    ):
        drawn = Phantom(labels, _SIZE).draw(number, lacking)
        drawn = Drawn({**drawn.masks, 2: drawn.masks[2] | drawn.masks[4]}, drawn.names)
        entry = f"{patient}_study1_{view}"
        said[entry] = {
            name: {
                "size": list(_SIZE),
                "counts": _runs(drawn.masks.get(value, np.zeros(_SIZE, bool)), short=number > 0),
            }
            for value, name in drawn.names.items()
        }
        path = f"CheXpert/val/{patient}/study1/{view}.jpg"
        put("chexlocalize.tar", path, picture(drawn.image(np.uint8, 0.7), "jpeg"))
        mini.expect("validation", "xray", entry, drawn, patient=patient)
    unsaid = picture(np.zeros(_SIZE, np.uint8), "jpeg")
    put("chexlocalize.tar", "CheXpert/val/patient64541/study1/view2_lateral.jpg", unsaid)
    content = json.dumps(said).encode()
    put("chexlocalize.tar", "CheXlocalize/gt_segmentations_val.json", content)
    return mini


def _runs(mask: NDArray[np.bool_], *, short: bool) -> list[int] | str:
    """Run lengths down the columns, from background on, as numbers or as COCO's text."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    runs = [0, *runs] if flat[0] else runs
    if not short:
        return runs
    text = ""
    for place, run in enumerate(runs):
        rest = run - runs[place - 2] if place > 2 else run
        while True:
            bits, rest = rest & 31, rest >> 5
            is_last = rest == (-1 if bits & 16 else 0)
            text += chr(48 + (bits if is_last else bits | 32))
            if is_last:
                break
    return text


@miniature("consep")
def consep() -> Miniature:
    """Maps of types in .mat, beside maps of instances."""
    from scipy.io import savemat

    mini = Miniature()
    kinds = (
        "other,inflammatory,healthy epithelial,malignant epithelial,fibroblast,muscle,endothelial"
    )
    nuclei = Phantom([f"{kind} nucleus" for kind in kinds.split(",")], _SIZE)
    for part, tile, lacking in (
        ("Train", "train_1", ()), ("Train", "train_12", (3,)), ("Test", "test_1", (1, 2)),
    ):  # fmt: skip
        drawn = nuclei.draw(len(tile), lacking)
        mat = io.BytesIO()
        types = drawn.values().astype(np.float64)
        savemat(mat, {"inst_map": types * 3, "type_map": types, "inst_centroid": np.ones((3, 2))})
        put = mini.put
        put(
            "consep_dataset.zip",
            f"CoNSeP/{part}/Images/{tile}.png",
            picture(drawn.picture(), "png"),
        )
        put("consep_dataset.zip", f"CoNSeP/{part}/Labels/{tile}.mat", mat.getvalue())
        put("consep_dataset.zip", f"CoNSeP/{part}/Overlay/{tile}.png", b"")
        mini.expect("nuclei", "microscopy", tile, drawn)
    return mini


@miniature("e-ophtha")
def e_ophtha() -> Miniature:
    """Folders of exams; one has two pictures, and one is in both parts."""
    mini = Miniature()
    for part, group, label, end, pictures in (
        ("EX", "exudates", "exudates", "_EX",
         (("E0000404", "C0001273"), ("E0000404", "C0001274"), ("E0000405", "C0001280"),
          ("E0019623", "C0010202"))),
        ("MA", "microaneurysms", "microaneurysms", "",
         (("E0000404", "C0001273"), ("E0000043", "C0000887"), ("E0019678", "DS000ETO"))),
    ):  # fmt: skip
        phantom = Phantom([label], _SIZE)
        archive = f"e_optha_{part}"
        for number, (exam, name) in enumerate(pictures):
            drawn = phantom.draw(number)
            suffix = "JPG" if number == 2 else "jpg"
            image = picture(drawn.picture(), "jpeg")
            mini.put(f"{archive}.zip", f"{archive}/{part}/{exam}/{name}.{suffix}", image)
            path = f"{archive}/Annotation_{part}/{exam}/{name}{end}.png"
            mini.put(f"{archive}.zip", path, _mask(drawn))
            mini.expect(group, "fundus", f"{exam}-{name}", drawn, patient=exam)
        mini.put(f"{archive}.zip", f"{archive}/healthy/E0000001/C0000001.jpg", b"")
    return mini


@miniature("feto-plac")
def feto_plac() -> Miniature:
    """Masks in colour; the frames of a video are one patient's."""
    mini = Miniature()
    vessel = Phantom(["vessel"], _SIZE)
    root = "Fetoscopy Placenta Dataset/Vessel_segmentation_annotations"
    for video, frame in ((1, 100), (1, 200), (2, 10), (3, 1), (6, 5)):
        drawn = vessel.draw(frame)
        name = f"anon{video:03d}_{frame:05d}"
        red = np.zeros((*_SIZE, 3), np.uint8)
        red[drawn.masks[1], 0] = 84
        put, archive = mini.put, "fetoscopy-placenta-dataset.zip"
        folder = f"{root}/video{video:02d}"
        put(archive, f"{folder}/images/{name}.png", picture(drawn.picture(), "png"))
        put(archive, f"{folder}/masks_gt/{name}_mask.png", picture(red, "png"))
        subject = f"video{video:02d}-{name}"
        mini.expect("vessels", "endoscopy", subject, drawn, patient=f"video{video:02d}")
    return mini


@miniature("hmc-qu")
def hmc_qu() -> Miniature:
    """Videos of which a spreadsheet says the frames that are annotated; masks are square."""
    from scipy.io import savemat

    mini = Miniature()
    wall = Phantom(["LV wall"], (16, 24)).draw().masks[1]
    square = [(2 * np.arange(24) + 1) * side // 48 for side in (48, 64)]  # of a frame's pixels
    beat = [
        Drawn({1: np.pad(wall, ((4 * n, 32 - 4 * n), (3, 37)))}, {1: "LV wall"}) for n in range(9)
    ]
    film = video_of([frame.image(np.uint8, 0.7) for frame in beat])
    archive, parts = "hmcqu-dataset.zip", [f"SEG{number}" for number in (1, 2, 3, 5, 6, 7)]
    rows: list[list[object]] = [
        [
            "ECHO",
            *parts,
            "One cardiac-cycle frames",
            None,
            "LV Wall Ground-truth Segmentation Masks",
        ],
        [*[None] * 7, "Reference Frame", "End of Cycle"],
    ]
    for name, first, last, tick in (
        ("ES0001 _4CH_1", 3, 6, "ü"),
        ("ES0001 _4CH_2", 1, 2, "ü"),
        ("ES0002_4CH_1", 6, 9, "ü"),
        ("ES00025_4CH_1", 2, 5, None),
        ("ES0100 _4CH_1", 4, 4, "ü"),
    ):
        rows.append([name, 0, 1, 0, 0, 1, 0, first, last, tick])
        mini.put(archive, f"HMC-QU/A4C/{name}.avi", film)
        if tick:
            shown = [beat[n].masks[1][np.ix_(*square)] for n in range(first - 1, last)]
            mat = io.BytesIO()
            savemat(mat, {"predicted": np.stack(shown).astype(np.uint8)})
            path = f"LV Ground-truth Segmentation Masks/Mask_{name}.mat"
            mini.put(archive, path, mat.getvalue())
            patient = name.partition("_")[0].strip()
            for n in range(first - 1, last):
                mini.expect("a4c", "ultrasound", f"{name}-{n:05d}", beat[n], patient=patient)
    mini.put(archive, "A4C.xlsx", spreadsheet(rows))
    mini.put(archive, "A2C.xlsx", b"")
    mini.put(archive, "HMC-QU/A2C/ES0001 _2CH_1.avi", b"")
    return mini


@miniature("idrid")
def idrid() -> Miniature:
    """A file for each kind of lesion, missing where an eye has none; kinds overlap."""
    mini = Miniature()
    kinds = {
        "1. Microaneurysms": "MA",
        "2. Haemorrhages": "HE",
        "3. Hard Exudates": "EX",
        "4. Soft Exudates": "SE",
        "5. Optic Disc": "OD",
    }
    names = ["microaneurysms", "haemorrhages", "hard exudates", "soft exudates", "optic disc"]
    archive, root = "A. Segmentation.zip", "A. Segmentation"
    for number, (part, eye, lacking) in enumerate(
        (
            ("a. Training Set", "01", ()),
            ("a. Training Set", "02", (4,)),
            ("b. Testing Set", "55", (1, 2)),
        )
    ):
        drawn = Phantom(names, _SIZE).draw(number, lacking)
        if not lacking:
            drawn = Drawn({**drawn.masks, 1: drawn.masks[1] | drawn.masks[2]}, drawn.names)
        path = f"{root}/1. Original Images/{part}/IDRiD_{eye}.jpg"
        mini.put(archive, path, picture(drawn.picture(), "jpeg"))
        for value, (folder, end) in enumerate(kinds.items(), start=1):
            if value not in lacking:
                mask = drawn.masks[value] * np.uint8(76)
                path = (
                    f"{root}/2. All Segmentation Groundtruths/{part}/{folder}/IDRiD_{eye}_{end}.tif"
                )
                mini.put(archive, path, picture(mask, "tiff"))
        mini.expect("lesions", "fundus", eye, drawn)
    return mini


@miniature("isbi-em")
def isbi_em() -> Miniature:
    """All sections in one TIFF, all masks in another."""
    from PIL import Image

    mini = Miniature()
    drawn = [Phantom({255: "cell"}, (32, 32)).draw(number) for number in range(4)]
    for name, pixels in (
        ("train-volume.tif", [each.image(np.uint8, 0.7) for each in drawn]),
        ("train-labels.tif", [each.values() for each in drawn]),
    ):
        first, *others = map(Image.fromarray, pixels)
        content = io.BytesIO()
        first.save(content, "tiff", save_all=True, append_images=others)
        mini.put(name, name, content.getvalue())
    for number, each in enumerate(drawn):
        mini.expect("train", "microscopy", f"{number:05d}", each, patient="fly")
    return mini


@miniature("octa500")
def octa500() -> Miniature:
    """Eyes of two sizes, with all their labels in one archive; structures overlap."""
    mini = Miniature()
    folders = {
        "GT_LargeVessel": "large vessel",
        "GT_Capillary": "capillary",
        "GT_Artery": "artery",
        "GT_Vein": "vein",
        "GT_FAZ": "foveal avascular zone",
    }
    structures = Phantom(folders.values(), (32, 32))
    for size, eyes in (("3mm", (10301, 10400, 10500)), ("6mm", (10001, 10299, 10300))):
        for eye in eyes:
            drawn = structures.draw(eye)
            path = f"OCTA_{size}/Projection Maps/OCT(FULL)/{eye}.bmp"
            mini.put(f"OCTA_{size}.tar", path, picture(drawn.image(np.uint8, 0.7), "bmp"))
            for value, folder in enumerate(folders, start=1):
                mask = picture(drawn.masks[value] * np.uint8(255), "bmp")
                mini.put("Label.tar", f"Label/{folder}/{eye}.bmp", mask)
            mini.expect(size, "oct", str(eye), drawn)
    return mini


@miniature("pandental")
def pandental() -> Miniature:
    """Masks of teeth in the first of four channels, of 0, 170 and 255; some mandibles left out."""
    mini = Miniature()
    teeth = Phantom({85: "teeth", 170: "teeth", 255: "teeth"}, _SIZE)
    mandible = Phantom(["mandible"], _SIZE)
    for number in (1, 2, 19, 100):
        drawn = teeth.draw(number, lacking=() if number == 2 else (85,))
        image = picture(drawn.image(np.uint8, 0.7), "png")
        values = drawn.values()
        rgba = np.dstack([values, values // 2, values // 3, np.full(_SIZE, 255, np.uint8)])
        mini.put("Images.zip", f"Images/{number}.png", image)
        mini.put("Orig_Masks.zip", f"{number}.png", picture(rgba, "png"))
        mini.expect("v1", "xray", str(number), drawn)
        drawn = mandible.draw(number)
        image, grey = drawn.image(np.uint8, 0.7), drawn.values() * np.uint8(200)
        folder = "DentalPanoramicXrays"
        mini.put(f"{folder}.zip", f"{folder}/Images/{number}.png", picture(image, "png"))
        mini.put(f"{folder}.zip", f"{folder}/Segmentation1/{number}.png", picture(grey, "png"))
        mini.put(f"{folder}.zip", f"{folder}/Segmentation2/{number}.png", b"")
        if number != 19:
            mini.expect("v2", "xray", str(number), drawn)
    return mini


@miniature("pannuke")
def pannuke() -> Miniature:
    """Patches in one array a fold, in floating point; a channel of numbered nuclei a kind."""
    mini = Miniature()
    kinds = ("neoplastic", "inflammatory", "connective", "dead", "epithelial")
    nuclei = Phantom([f"{kind} nuclei" for kind in kinds], (32, 32))
    for fold in (1, 2, 3):
        patches = [nuclei.draw(number, (fold,)) for number in range(3)]
        images = np.stack([drawn.picture() for drawn in patches]).astype(np.float64)
        names = {**patches[0].names, 6: "background"}
        patches = [Drawn({**p.masks, 6: p.values() == 0}, names) for p in patches]
        masks = np.zeros((3, 32, 32, 6))
        for number, drawn in enumerate(patches):
            for value, mask in drawn.masks.items():
                masks[number, mask, value - 1] = 1 if value == 6 else 40 + number
            mini.expect(f"fold{fold}", "microscopy", f"{number:05d}", drawn)
        for path, array in (
            (f"images/fold{fold}/images.npy", images),
            (f"masks/fold{fold}/masks.npy", masks),
        ):
            content = io.BytesIO()
            np.save(content, array)
            mini.put(f"fold_{fold}.zip", f"Fold {fold}/{path}", content.getvalue())
        mini.put(f"fold_{fold}.zip", f"Fold {fold}/images/fold{fold}/types.npy", b"")
    return mini


@miniature("rose")
def rose() -> Miniature:
    """Three plexuses of one eye, and a second dataset; formats differ from folder to folder."""
    mini = Miniature()
    vessel = Phantom(["vessel"], (32, 32))
    for group, folder, original, kinds in (
        ("rose-1-svc", "ROSE-1/SVC", "img", ("tiff", "tiff")),
        ("rose-1-dvc", "ROSE-1/DVC", "img", ("png", "tiff")),
        ("rose-1-svc-dvc", "ROSE-1/SVC_DVC", "img", ("png", "tiff")),
        ("rose-2", "ROSE-2", "original", ("png", "png")),
    ):
        for part, eye in (("train", "01"), ("train", "02"), ("test", "01")):
            drawn = vessel.draw(int(eye))
            root = f"data/{folder}/{part}"
            image, mask = (kind.removesuffix("f") for kind in kinds)
            content = picture(drawn.image(np.uint8, 0.7), kinds[0])
            mini.put("rose.tar", f"{root}/{original}/{eye}.{image}", content)
            mini.put("rose.tar", f"{root}/gt/{eye}.{mask}", _mask(drawn, kinds[1]))
            mini.expect(group, "oct-angiography", f"{part}-{eye}", drawn)
    return mini


@miniature("tucc")
def tucc() -> Miniature:
    """All clips in one HDF5 file, and who they are of in an array of it; one has two nodules."""
    import h5py

    mini = Miniature()
    nodule = Phantom(["nodule"], _SIZE)
    clips = ["101_", "101_", "102_1", "102_1", "102_2", "110_", "110_"]
    drawn = [nodule.draw(number) for number in range(len(clips))]
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["annot_id"] = [clip.encode() for clip in clips]
        file["frame_num"] = np.arange(len(clips))
        file["image"] = np.stack([each.image(np.uint8, 0.7) for each in drawn])
        file["mask"] = np.stack([each.values() * np.uint8(255) for each in drawn])
    mini.put("dataset.hdf5", "dataset.hdf5", content.getvalue())
    for number, (clip, each) in enumerate(zip(clips, drawn, strict=True)):
        subject = f"{clip}-{number:05d}"
        mini.expect("nodules", "ultrasound", subject, each, patient=clip.partition("_")[0])
    return mini
