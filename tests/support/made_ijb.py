"""Made lists in the form of IJB-B and IJB-C, and their metrics by brute force in float64."""

from __future__ import annotations

import numpy as np

from arcface_mx.data.align.transform import REFERENCE


def write_lists(folder, seed=0, subjects=12, dim=16):
    """Write the folder meta of a small made IJB-C; return (plain, mirrored) embeddings of its images."""
    random = np.random.RandomState(seed)
    folder.mkdir(parents=True, exist_ok=True)
    centres = random.randn(subjects, dim)
    tid_mid, points, plain, mirrored, of_subject = [], [], [], [], {}
    template = 3
    for subject in range(subjects):
        for _ in range(4):
            template += random.randint(1, 4)
            of_subject[template] = subject
            for _ in range(random.randint(1, 6)):
                name, score = f"{len(tid_mid) + 1}.jpg", random.uniform(0.3, 1)
                tid_mid.append(f"{name} {template} {10 * template + random.randint(3)}")
                moved = REFERENCE.ravel() + random.uniform(-2, 2, 10)
                landmarks = " ".join(f"{value:.3f}" for value in moved)
                points.append(f"{name} {landmarks} {score:.4f}")
                length = random.uniform(0.5, 5)
                plain.append(length * (centres[subject] + 1.5 * random.randn(dim)))
                mirrored.append(length * (centres[subject] + 1.5 * random.randn(dim)))
    order = random.permutation(len(tid_mid))  # the images of a template need not follow each other
    ids = sorted(of_subject)
    pairs = [(a, b) for a in ids for b in ids if a < b and (of_subject[a] == of_subject[b] or random.rand() < 0.7)]
    pairs = [pairs[k] for k in random.permutation(len(pairs))]
    galleries = [[template for template in ids[0::4] if of_subject[template] % 2 == half] for half in (0, 1)]
    probes = [template for template in ids if template not in ids[0::4]]
    texts = {
        "face_tid_mid.txt": [tid_mid[k] for k in order],
        "name_5pts_score.txt": [points[k] for k in order],
        "template_pair_label.txt": [f"{a} {b} {int(of_subject[a] == of_subject[b])}" for a, b in pairs],
        "1N_gallery_G1.csv": ["TEMPLATE_ID,SUBJECT_ID"] + [f"{t},{of_subject[t]}" for t in galleries[0]],
        "1N_gallery_G2.csv": ["TEMPLATE_ID,SUBJECT_ID"] + [f"{t},{of_subject[t]},x" for t in galleries[1] * 2],
        "1N_probe_mixed.csv": ["TEMPLATE_ID,SUBJECT_ID"] + [f"{t},{of_subject[t]}" for t in probes],
    }
    for name, lines in texts.items():
        (folder / f"ijbc_{name}").write_text("\n".join(lines) + "\n")
    return np.asarray(plain, np.float32)[order], np.asarray(mirrored, np.float32)[order]


def brute_force(folder, plain, mirrored, norm, detector, flip):
    """Verification scores with labels, and 1:N similarities by gallery, image by image in float64."""

    def words(name, skip=0):
        return [line.replace(",", " ").split() for line in (folder / f"ijbc_{name}").read_text().split("\n")[skip:-1]]

    groups = {}
    rows = zip(words("face_tid_mid.txt"), words("name_5pts_score.txt"), plain, mirrored)
    for (_, template, medium), point, image, mirror in rows:
        vector = image.astype(np.float64) + (mirror.astype(np.float64) if flip else 0)
        vector = vector / (np.linalg.norm(vector) if norm else 1) * (float(point[-1]) if detector else 1)
        groups.setdefault(template, {}).setdefault(medium, []).append(vector)
    features = {}
    for template, media in groups.items():
        total = sum(sum(frames) / len(frames) for frames in media.values())
        features[template] = total / np.linalg.norm(total)
    pairs = words("template_pair_label.txt")
    scores = np.array([features[a] @ features[b] for a, b, _ in pairs])
    probes = dict(line[:2] for line in words("1N_probe_mixed.csv", 1))
    searches = {}
    for gallery in ("G1", "G2"):
        entries = dict(line[:2] for line in words(f"1N_gallery_{gallery}.csv", 1))
        table = {p: {s: features[p] @ features[t] for t, s in entries.items()} for p in probes}
        searches[gallery] = [(table[p], subject) for p, subject in probes.items()]
    return scores, np.array([label == "1" for _, _, label in pairs]), searches


def tar_at(scores, same, far):
    """The highest share of accepted same pairs of all thresholds with at most this FAR."""
    thresholds = np.append(np.unique(scores), np.inf)
    return max(np.mean(scores[same] >= t) for t in thresholds if np.mean(scores[~same] >= t) <= far)


def tpir_at(search, fpir):
    """The highest TPIR of all thresholds with at most this FPIR, and rank-1 and rank-5."""
    known = [
        (row[subject], max(v for s, v in row.items() if s != subject)) for row, subject in search if subject in row
    ]
    unknown = np.array([max(row.values()) for row, subject in search if subject not in row])
    thresholds = sorted({score for pair in known for score in pair} | set(unknown.tolist())) + [np.inf]
    allowed = [t for t in thresholds if np.mean(unknown >= t) <= fpir]
    return max(np.mean([mate >= t and mate > other for mate, other in known]) for t in allowed)


def rank(search, k):
    """Number of known probes whose mate is among the k most similar entries, and number of known probes."""
    known = [(row, row[subject]) for row, subject in search if subject in row]
    return sum(sum(v > mate for v in row.values()) < k for row, mate in known), len(known)
