INSERT INTO "_CollectionToImage" ("A", "B")
SELECT c."id", p.id FROM "Collection" AS c JOIN legacy_position AS p ON c."name" = 'Holidays' AND mod(p.i, 5) = 0
