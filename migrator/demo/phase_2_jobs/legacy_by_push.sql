-- Phase 1 as Prisma itself makes it from its schema: no default for "updatedAt", which the client sets.
CREATE TYPE "ImageStatus" AS ENUM ('UPLOADED', 'INGESTED', 'FAILED');

CREATE TABLE "Image" (
    "id" TEXT NOT NULL,
    "status" "ImageStatus" NOT NULL,
    "title" TEXT,
    "tempPath" TEXT NOT NULL,
    "checksum" TEXT NOT NULL,
    "mimeType" TEXT NOT NULL,
    "width" INTEGER NOT NULL,
    "height" INTEGER NOT NULL,
    "sizeBytes" INTEGER NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,
    CONSTRAINT "Image_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "Collection" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,
    CONSTRAINT "Collection_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "Job" (
    "id" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "payload" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,
    CONSTRAINT "Job_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "_CollectionToImage" (
    "A" TEXT NOT NULL,
    "B" TEXT NOT NULL,
    CONSTRAINT "_CollectionToImage_AB_pkey" PRIMARY KEY ("A", "B")
);

CREATE UNIQUE INDEX "Image_checksum_key" ON "Image" ("checksum");
CREATE INDEX "Image_status_idx" ON "Image" ("status");
CREATE INDEX "Image_checksum_idx" ON "Image" ("checksum");
CREATE INDEX "Image_createdAt_idx" ON "Image" ("createdAt");
CREATE UNIQUE INDEX "Collection_name_key" ON "Collection" ("name");
CREATE INDEX "_CollectionToImage_B_index" ON "_CollectionToImage" ("B");

ALTER TABLE "_CollectionToImage"
    ADD CONSTRAINT "_CollectionToImage_A_fkey" FOREIGN KEY ("A") REFERENCES "Collection" ("id")
    ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "_CollectionToImage"
    ADD CONSTRAINT "_CollectionToImage_B_fkey" FOREIGN KEY ("B") REFERENCES "Image" ("id")
    ON DELETE CASCADE ON UPDATE CASCADE;
