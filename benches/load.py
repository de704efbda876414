"""Uploads under load, ours beside the service that our users come from, in one run.

    python3 -m venv .venv && .venv/bin/pip install fastapi==0.129.0 uvicorn==0.40.0 python-multipart==0.0.22 pillow==12.1.1
    cargo build --release --example custom_server
    .venv/bin/python benches/load.py [--seconds 20] [--clients 64] [--rounds 3] [--picture examples/photos/cat.jpg]

Both servers get the same uploads on connections that stay open, one after the other, in turn, while their workers write
captions on all cores: a stub that hashes 100 MiB for each picture, on both sides. Printed are the times from the first
byte of a request to its acknowledgement, acknowledged uploads a second, and the ratio of the two. Ours has synced the
picture and its record to the disk before it acknowledges; the other one syncs what SQLite syncs by itself. `--requests`
ends a round after that many uploads, for a look whether everything runs.
"""
import argparse, asyncio, itertools, os, pathlib, re, statistics, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).parent.parent
TARGET = pathlib.Path(subprocess.run([ROOT / ".ci/target"], check=True, capture_output=True, text=True).stdout.strip())
NAMES = ("ours", "reference")
# The length of what follows each picture, behind its end, so that no two are the same and none is spared the work.
NUMBER = 8


def start(name, folder, server, options=()):
    if name == "ours":
        command = [server, "--listen", "127.0.0.1:0", "--data", folder / "data", "--max-queue", "10000000", "--log", "info,pipeline_server::api=warn", *options]
    else:
        command = [sys.executable, "-m", "uvicorn", "--app-dir", ROOT / "benches", "reference_service:app", "--port", "0", "--no-access-log"]
    log = folder / "log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIPELINE_")} | {"DATA": str(folder / "data")}
    process = subprocess.Popen(list(map(str, command)), stderr=log.open("w"), stdout=subprocess.DEVNULL, env=environment)
    for _ in range(600):
        found = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            return process, int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    raise SystemExit(f"{name} does not start:\n{log.read_text()}")


def request(picture):
    """The bytes before the number that makes each picture another one, and those after it."""
    boundary = b"the-boundary"
    body = (
        b"--" + boundary + b'\r\nContent-Disposition: form-data; name="file"; filename="cat.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + picture
    )
    end = b"\r\n--" + boundary + b"--\r\n"
    head = (
        b"POST /api/images HTTP/1.1\r\nHost: bench\r\nContent-Type: multipart/form-data; boundary=" + boundary
        + b"\r\nContent-Length: " + str(len(body) + NUMBER + len(end)).encode() + b"\r\n\r\n"
    )
    return head + body, end


async def answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    body = await reader.readexactly(int(re.search(r"content-length: (\d+)", head)[1]))
    return int(head.split(" ", 2)[1]), body


numbers = itertools.count()


async def client(port, message, more, times, failures):
    writer = None
    while more():
        started = time.perf_counter()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(message[0] + next(numbers).to_bytes(NUMBER) + message[1])
            await writer.drain()
            status, body = await asyncio.wait_for(answer(reader), 60)
            if status != 200 or b'"image_id"' not in body:
                raise OSError(f"status {status}: {body[:200]}")
            times.append(time.perf_counter() - started)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
            failures.append(repr(error))
            if writer:
                writer.close()
            writer = None
    if writer:
        writer.close()


async def load(port, message, clients, seconds, requests):
    times, failures, sent = [], [], 0
    end = time.perf_counter() + seconds

    def more():
        nonlocal sent
        sent += 1
        return time.perf_counter() < end and (requests is None or sent <= requests)

    started = time.perf_counter()
    await asyncio.gather(*(client(port, message, more, times, failures) for _ in range(clients)))
    return times, failures, time.perf_counter() - started


def one_round(name, message, folder, options):
    process, port = start(name, folder, options.server)
    try:
        # A queue that is never empty keeps every worker writing captions from the first upload that counts.
        asyncio.run(load(port, message, 4, 60, 2 * os.cpu_count()))
        times, failures, took = asyncio.run(load(port, message, options.clients, options.seconds, options.requests))
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:  # it finishes its whole queue first
            process.kill()
            process.wait()
    if failures:
        print(f"{name}: {len(failures)} failures, such as {failures[0]}")
    if not times:
        raise SystemExit(f"{name} acknowledged nothing")
    cut = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
    p50, p90, p99 = (1000 * cut[at - 1] for at in (50, 90, 99))
    rate = len(times) / took
    print(f"{name:>9}  {rate:8.1f} uploads/s  p50 {p50:7.1f} ms  p90 {p90:7.1f} ms  p99 {p99:7.1f} ms  {len(failures)} failures", flush=True)
    return rate, p99


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--picture", type=pathlib.Path, default=ROOT / "examples/photos/cat.jpg")
    parser.add_argument("--server", type=pathlib.Path, default=TARGET / "release/examples/custom_server")
    parser.add_argument("--folder", help="where the data goes; both servers share the disk of this folder")
    options = parser.parse_args()
    message = request(options.picture.read_bytes())
    results = {name: [] for name in NAMES}
    # Removed at the end: ext4 without a journal makes new files slowly for minutes after many were removed.
    with tempfile.TemporaryDirectory(dir=options.folder) as top:
        for round in range(options.rounds):
            for name in NAMES:
                folder = pathlib.Path(top, f"{name}-{round}")
                folder.mkdir()
                results[name].append(one_round(name, message, folder, options))
    rates = {name: statistics.median(rate for rate, _ in rounds) for name, rounds in results.items()}
    print(f"ratio of the medians, ours to reference: {rates['ours'] / rates['reference']:.2f}; "
          f"worst p99 of ours: {max(p99 for _, p99 in results['ours']):.1f} ms")


if __name__ == "__main__":
    main()
