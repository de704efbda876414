"""Both thumbnails and the metadata of a picture: Pillow as the reference service uses it, sharp (libvips), and us.

    python3 -m venv .venv && .venv/bin/pip install pillow==12.1.1 numpy
    .venv/bin/python benches/thumbnails.py [--turbo] [--rounds 15] [--npm FOLDER] [FILE...]

Needs node and npm for sharp, which goes into FOLDER (default: target/sharp) on the first run; `--turbo` builds us with
that feature. Without FILE, pictures of 0.3, 2, 12 and 48 Mpx are made of a photograph with grain, as JPEG and PNG.

Each side is a process of its own on one thread, which does one picture at a time; they take turns on the same file, so
that all share the machine and its noise: quote the ratios. Peak memory (VmHWM) is that of a fresh process after one
picture, with everything it has loaded; what it had before the picture is beside it.

The reference decodes three times: for the small thumbnail, for the medium one, and for the caption; each time in full,
since it converts to RGB before anything else. `pillow thumbs` is that without the third.
"""
import argparse, json, os, pathlib, statistics, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BOXES = ((256, 85), (512, 90))

PEAK_JS = "const peak = () => Number((fs.readFileSync('/proc/self/status', 'utf8').match(/VmHWM:\\s+(\\d+)/) || [])[1] || 0);"
SHARP = """
const fs = require('fs'), readline = require('readline'), sharp = require('sharp');
sharp.concurrency(1); sharp.cache(false);
%s
console.log(JSON.stringify({peak_kib: peak()}));
(async () => {
  for await (const path of readline.createInterface({input: process.stdin})) {
    const started = process.hrtime.bigint();
    const file = fs.readFileSync(path);
    await sharp(file).metadata();
    const sizes = [];
    for (const [side, quality] of %s) {
      const {info} = await sharp(file).rotate().flatten({background: '#fff'})
        .resize(side, side, {fit: 'inside', withoutEnlargement: true}).jpeg({quality}).toBuffer({resolveWithObject: true});
      sizes.push([info.width, info.height]);
    }
    console.log(JSON.stringify({seconds: Number(process.hrtime.bigint() - started) / 1e9, peak_kib: peak(), sizes}));
  }
})();
""" % (PEAK_JS, json.dumps(BOXES))


def pillow_side(decodes):
    import io, time
    from PIL import Image

    Image.init()
    peak = lambda: int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
    print(json.dumps({"peak_kib": peak()}), flush=True)
    for line in sys.stdin:
        path = line.rstrip("\n")
        started = time.perf_counter()
        with Image.open(path) as image:
            image.size, image.format, os.path.getsize(path)
        sizes = []
        for side, quality in BOXES:
            with Image.open(path) as image:
                small = image.convert("RGB")
                small.thumbnail((side, side))
                small.save(io.BytesIO(), "JPEG", quality=quality)
                sizes.append(small.size)
        if decodes == 3:
            with Image.open(path) as image:
                image.convert("RGB")
        print(json.dumps({"seconds": time.perf_counter() - started, "peak_kib": peak(), "sizes": sizes}), flush=True)


class Side:
    """A process that answers each path with a line of JSON."""

    def __init__(self, command, **environment):
        self.process = subprocess.Popen(command, env=os.environ | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.before = self.answer()["peak_kib"] or 0

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def do(self, path):
        self.process.stdin.write(f"{path}\n"); self.process.stdin.flush()
        return self.answer()

    def end(self):
        self.process.stdin.close(); self.process.wait()


def built(turbo):
    command = ["cargo", "build", "--profile", "bench", "--bench", "thumbnails", "--message-format", "json"]
    command += ["--features", "pipeline-core/turbo"] if turbo else []
    out = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = (json.loads(line) for line in out.splitlines())
    return next(line["executable"] for line in lines if line.get("executable") and line["target"]["name"] == "thumbnails")


def with_sharp(folder):
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules" / "sharp").exists():
        subprocess.run(["npm", "install", "--silent", "--prefix", folder, "sharp@0.34"], check=True)
    script = folder / "thumbnails.cjs"
    script.write_text(SHARP)
    return script


def made(folder):
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    photo = Image.open(ROOT / "examples" / "photos" / "rocket.jpg").convert("RGB")
    paths = []
    for name, size, kinds in (("0.3", (640, 480), "jpg png"), ("2", (1632, 1224), "jpg png"), ("12", (4000, 3000), "jpg png"), ("48", (8000, 6000), "jpg")):
        large = None
        for kind in kinds.split():
            path = folder / f"{name}mpx.{kind}"
            if not path.exists():
                if large is None:
                    large = np.asarray(photo.resize(size, Image.BICUBIC)).astype(np.int16)
                    large += np.random.default_rng(1).integers(-8, 8, large.shape, np.int16)
                    large = Image.fromarray(large.clip(0, 255).astype(np.uint8))
                large.save(path, quality=90)
            paths.append(path)
    return paths


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--turbo", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--npm", type=pathlib.Path, default=ROOT / "target" / "sharp")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    us, script = built(options.turbo), with_sharp(options.npm)
    sides = {
        "us": lambda: Side([us], THUMBNAILS="1"),
        "sharp": lambda: Side(["node", script], VIPS_CONCURRENCY="1"),
        "pillow": lambda: Side([sys.executable, __file__, "pillow", "3"]),
        "pillow thumbs": lambda: Side([sys.executable, __file__, "pillow", "2"]),
    }
    for path in options.files or made(ROOT / "target" / "thumbnails"):
        print(f"\n{path.name}, {path.stat().st_size / 1e6:.1f} MB" + (", turbo" if options.turbo else ""))
        open_sides = {name: start() for name, start in sides.items()}
        first = {name: side.do(path) for name, side in open_sides.items()}
        times = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, side in open_sides.items():
                times[name].append(side.do(path)["seconds"])
        ours = statistics.median(times["us"])
        for name, side in open_sides.items():
            side.end()
            median = statistics.median(times[name])
            print(f"  {name:14}{median * 1e3:8.1f} ms   us/{name}: {ours / median:5.2f}   peak {first[name]['peak_kib'] / 1024:6.0f} MiB"
                  f" (before {side.before / 1024:4.0f})   {first[name]['sizes']}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["pillow"]:
        pillow_side(int(sys.argv[2]))
    else:
        main()
