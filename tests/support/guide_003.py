"""What guide 003 and the SQL of its repository do, each as short as the trap needs, run as `psql` would."""

from __future__ import annotations

from contextlib import closing

import psycopg

# The repository's own file for Phase 2, statement by statement.
REPOSITORY = (
    "ALTER TYPE \"ImageStatus\" ADD VALUE 'PROCESSING' BEFORE 'FAILED'",
    "ALTER TYPE \"ImageStatus\" ADD VALUE 'STORED' BEFORE 'FAILED'",
    'ALTER TABLE "Image" ADD COLUMN "thumbnailPath" TEXT',
    'ALTER TABLE "Image" ADD COLUMN "previewPath" TEXT',
    'DROP TABLE IF EXISTS "Job" CASCADE',
    "CREATE TYPE \"JobStatus\" AS ENUM ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED')",
    """CREATE TABLE "Job" ("id" TEXT NOT NULL PRIMARY KEY, "type" TEXT NOT NULL, "payload" TEXT NOT NULL,
        "status" "JobStatus" NOT NULL DEFAULT 'PENDING', "attempts" INTEGER NOT NULL DEFAULT 0,
        "maxAttempts" INTEGER NOT NULL DEFAULT 3, "lockedAt" TIMESTAMP(3), "lockedBy" TEXT, "lastError" TEXT,
        "imageId" TEXT, "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
        "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
        CONSTRAINT "Job_imageId_fkey" FOREIGN KEY ("imageId") REFERENCES "Image" ("id") ON DELETE SET NULL)""",
)

# What `prisma db push` runs for a text column that becomes an enum, seen with Prisma 6.19.
PUSH = (
    "CREATE TYPE \"JobStatus\" AS ENUM ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED')",
    """ALTER TABLE "Job" DROP COLUMN "status", ADD COLUMN "status" "JobStatus" NOT NULL DEFAULT 'PENDING'""",
)

# Step 4, two jobs for each image; the variant for large data takes a hundred and drops the status.
_ENQUEUE = """
    INSERT INTO "Job" ("id", "type", "payload", "status", "imageId", "maxAttempts", "updatedAt")
    SELECT gen_random_uuid()::text, kind, json_build_object('type', kind, 'imageId', id, 'originalPath', "tempPath"),
        'PENDING', id, 3, now()
    FROM (SELECT id, "tempPath" FROM "Image" WHERE {where} {take}) AS images,
        unnest(ARRAY['THUMBNAIL_GENERATION', 'PREVIEW_GENERATION']) AS kind"""
ENQUEUE = _ENQUEUE.format(where="status = 'INGESTED' AND \"thumbnailPath\" IS NULL", take="")
ENQUEUE_HUNDRED = _ENQUEUE.format(where='"thumbnailPath" IS NULL', take="LIMIT 100")

# Names as the guide's and the repository's snippets have them.
SNIPPETS = (
    "SELECT id, status, last_error FROM job",
    'SELECT id, last_error FROM "Job"',
    'UPDATE "Job" SET updated_at = now()',
    'SELECT max_attempts FROM "Job"',
    "SELECT thumbnail_path FROM image",
)


def run(url: str, statements: tuple[str, ...]) -> list[str | None]:
    """Run each for itself, whatever became of the one before; give the SQLSTATE of each that failed."""
    states: list[str | None] = []
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        for statement in statements:
            try:
                conn.execute(statement.encode())
                states.append(None)
            except psycopg.Error as error:
                states.append(error.sqlstate)
    return states
