"""Reading a face set with the CPU pipeline of NVIDIA DALI, to compare with `arcface-mx bench input`.

Run: /path/to/python recipes/bench/dali.py faces

The interpreter needs nvidia-dali; nothing here imports arcface_mx. Batches are shuffled, decoded,
half of their images mirrored, float32 (B, 3, height, width).
"""

# mypy: allow-untyped-defs, no-check-untyped-defs

import argparse
import os
import statistics
import time

from nvidia.dali import fn, pipeline_def, types


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder with train.rec and train.idx")
    parser.add_argument("--images", type=int, default=12800, help="images per repetition (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=128, help="default: %(default)s")
    parser.add_argument("--repetitions", type=int, default=5, help="default: %(default)s")
    args = parser.parse_args()
    records, index = (os.path.join(args.data, name) for name in ("train.rec", "train.idx"))

    @pipeline_def(
        batch_size=args.batch_size, num_threads=os.cpu_count(), device_id=None, prefetch_queue_depth=4, seed=0
    )
    def reading():
        encoded, labels = fn.readers.mxnet(path=[records], index_path=[index], random_shuffle=True, initial_fill=4096)
        pixels = fn.decoders.image(encoded, device="cpu", output_type=types.RGB)
        pixels = fn.crop_mirror_normalize(
            pixels, device="cpu", dtype=types.FLOAT, output_layout="CHW", mirror=fn.random.coin_flip()
        )
        return pixels, labels

    pipeline = reading()
    pipeline.build()
    batches, rates = args.images // args.batch_size, []
    for _ in range(args.repetitions + 1):
        start = time.perf_counter()
        for _ in range(batches):
            pixels, _ = pipeline.run()
            pixels.as_tensor()
        rates.append(batches * args.batch_size / (time.perf_counter() - start))
    print(f"DALI, CPU: {statistics.median(rates[1:]):.0f} images/s")


if __name__ == "__main__":
    main()
