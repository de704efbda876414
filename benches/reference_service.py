"""The service that our users come from, as small as the REST contract allows: FastAPI, SQLite, and a pool of threads.

It is what `load.py` compares with. It does what such a service does: an upload is read, written to a file, and put into
the database; threads make thumbnails and a caption afterwards. Nothing is synced to the disk but what SQLite syncs by
itself. The captioner is a stub that uses a core for as long as that of `examples/custom_server.rs`: both hash 100 MiB.

    uvicorn --app-dir benches reference_service:app --port 8001      # DATA names the folder, default ./reference-data
"""
import hashlib, io, os, pathlib, sqlite3, threading, time, uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

from fastapi import FastAPI, File, HTTPException, Request, UploadFile
from fastapi.responses import FileResponse
from PIL import Image

DATA = pathlib.Path(os.environ.get("DATA", "reference-data"))
for folder in ("originals", "thumbnails"):
    (DATA / folder).mkdir(parents=True, exist_ok=True)
SIZES = {"small": (256, 85), "medium": (512, 90)}
BLOCK = bytes(1 << 20)

app = FastAPI()
pool = ThreadPoolExecutor(os.cpu_count())
local = threading.local()


def database():
    """A connection for each thread, with SQLite's own defaults."""
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(DATA / "reference.sqlite", timeout=30)
        local.connection.row_factory = sqlite3.Row
    return local.connection


with database() as start:
    start.execute(
        "CREATE TABLE IF NOT EXISTS images (id TEXT PRIMARY KEY, name TEXT, status TEXT, processed_at TEXT, width INTEGER, "
        "height INTEGER, format TEXT, size INTEGER, caption TEXT, error TEXT, seconds REAL, created REAL)"
    )


def caption():
    digest = hashlib.sha256()
    for _ in range(100):
        digest.update(BLOCK)  # outside of Python's lock, as a model's arithmetic is
    return f"a picture of {digest.digest()[0]:02x}"


def process(id):
    started = time.monotonic()
    try:
        data = (DATA / "originals" / id).read_bytes()
        with Image.open(io.BytesIO(data)) as picture:
            format = {"JPEG": "jpg", "PNG": "png"}[picture.format]
            width, height = picture.size
            for size, (box, quality) in SIZES.items():
                small = picture.convert("RGB")
                small.thumbnail((box, box), Image.Resampling.BICUBIC)
                small.save(DATA / "thumbnails" / f"{id}.{size}.jpg", quality=quality)
        values = ("success", width, height, format, len(data), caption(), None)
    except Exception as error:
        values = ("failed", None, None, None, None, None, str(error) or "failed")
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    with database() as db:
        db.execute(
            "UPDATE images SET status=?, width=?, height=?, format=?, size=?, caption=?, error=?, processed_at=?, seconds=? "
            "WHERE id=?",
            (*values, now, time.monotonic() - started, id),
        )


@app.get("/")
def hello():
    return {"message": "API is working"}


@app.post("/api/images")
async def upload(file: UploadFile = File(...)):
    if file.content_type not in ("image/jpeg", "image/png"):
        raise HTTPException(400, "Only JPG and PNG are allowed.")
    data = await file.read()
    if not data:
        raise HTTPException(400, "Empty upload.")
    id = str(uuid.uuid4())
    (DATA / "originals" / id).write_bytes(data)
    with database() as db:
        db.execute("INSERT INTO images (id, name, status, created) VALUES (?, ?, 'processing', ?)", (id, file.filename, time.time()))
    pool.submit(process, id)
    return {"image_id": id, "status": "processing"}


def envelope(row, base):
    done = row["status"] == "success"
    metadata = {"width": row["width"], "height": row["height"], "format": row["format"], "size_bytes": row["size"], "caption": row["caption"]}
    thumbnails = {size: f"{base}api/images/{row['id']}/thumbnails/{size}" for size in SIZES}
    return {
        "status": row["status"],
        "data": {
            "image_id": row["id"],
            "original_name": row["name"],
            "processed_at": row["processed_at"],
            "metadata": metadata if done else {},
            "thumbnails": thumbnails if done else {},
        },
        "error": row["error"],
    }


@app.get("/api/images")
def images(request: Request):
    rows = database().execute("SELECT * FROM images ORDER BY created DESC").fetchall()
    return [envelope(row, request.base_url) for row in rows]


def find(id):
    row = database().execute("SELECT * FROM images WHERE id=?", (id,)).fetchone()
    if row is None:
        raise HTTPException(404, "Image not found.")
    return row


@app.get("/api/images/{id}")
def image(id: str, request: Request):
    return envelope(find(id), request.base_url)


@app.get("/api/images/{id}/thumbnails/{size}")
def thumbnail(id: str, size: str):
    if size not in SIZES:
        raise HTTPException(400, "size must be 'small' or 'medium'.")
    if find(id)["status"] != "success":
        raise HTTPException(409, "Thumbnails not ready (processing not successful).")
    return FileResponse(DATA / "thumbnails" / f"{id}.{size}.jpg", media_type="image/jpeg")


@app.get("/api/stats")
def stats():
    total, success, failed, mean = database().execute(
        "SELECT count(*), sum(status='success'), sum(status='failed'), avg(seconds) FROM images"
    ).fetchone()
    rate = 100 * (success or 0) / total if total else 0
    return {"total": total, "failed": failed or 0, "success_rate": f"{rate:.2f}%", "average_processing_time_seconds": mean or 0.0}
