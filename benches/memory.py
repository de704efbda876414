"""Peak memory of the server with its bundled model, over uploads that all get metadata, thumbnails and a caption.

    cargo build --release
    python3 benches/memory.py [--pictures 200] [--picture examples/photos/cat.jpg] [SERVER'S OPTIONS, such as --workers 1]
"""
import argparse, asyncio, math, os, pathlib, tempfile, time, urllib.request

import load


def count(port, status):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/images?status={status}&limit=1") as response:
        return int(response.headers["X-Total-Count"])


def peak(server, options, message, pictures):
    with tempfile.TemporaryDirectory() as folder:
        process, port = load.start("ours", pathlib.Path(folder), server, options)
        try:
            _, failures, _ = asyncio.run(load.load(port, message, 1, math.inf, pictures))
            while count(port, "processing"):
                time.sleep(0.1)
            done = count(port, "success")
        finally:
            process.terminate()
            _, process.returncode, used = os.wait4(process.pid, 0)
    if failures or process.returncode or done < pictures:
        raise SystemExit(f"{done} of {pictures} done, {len(failures)} failures, such as {failures[:1]}")
    return used.ru_maxrss


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--picture", type=pathlib.Path, default=load.ROOT / "examples/photos/cat.jpg")
    parser.add_argument("--server", type=pathlib.Path, default=load.TARGET / "release/pipeline-server")
    ours, options = parser.parse_known_args()
    kilobytes = peak(ours.server, options, load.request(ours.picture.read_bytes()), ours.pictures)
    print(f"{ours.pictures} pictures: peak {kilobytes * 1.024e-3:.0f} MB ({kilobytes / 1024:.0f} MiB)")


if __name__ == "__main__":
    main()
