"""The same reading by NVIDIA DALI's CPU pipeline: a contestant for benchmarks, run by an interpreter that has it."""

# mypy: allow-untyped-defs, no-check-untyped-defs

ENGINE = "nvidia.dali"


def setup(records, index, images, batch_size, threads):
    """A function that reads `images` images: shuffled, decoded, half mirrored, NCHW float32."""
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(batch_size=batch_size, num_threads=threads, device_id=None, prefetch_queue_depth=4, seed=0)
    def reading():
        encoded, labels = fn.readers.mxnet(path=[records], index_path=[index], random_shuffle=True, initial_fill=4096)
        pixels = fn.decoders.image(encoded, device="cpu", output_type=types.RGB)
        mirror = fn.random.coin_flip()
        return fn.crop_mirror_normalize(
            pixels, device="cpu", dtype=types.FLOAT, output_layout="CHW", mirror=mirror
        ), labels

    pipeline = reading()
    pipeline.build()

    def run():
        for _ in range(images // batch_size):
            pixels, _ = pipeline.run()
            pixels.as_tensor()
        return images

    return run
