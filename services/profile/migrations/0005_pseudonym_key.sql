-- The key of pseudonyms is kept outside the database: a copy of the database must not be enough to tell whom a row of
-- a data set means.

DROP TABLE profile.secrets;
