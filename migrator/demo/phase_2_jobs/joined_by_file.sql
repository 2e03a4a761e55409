INSERT INTO "_ImageToCollection" ("A", "B")
SELECT p.id, c."id" FROM "Collection" AS c JOIN legacy_position AS p ON c."name" = 'Holidays' AND mod(p.i, 5) = 0
