-- What every profile process must be able to open before it serves: a process with another ring of keys would write rows that the others
-- cannot read.

CREATE TABLE profile.ring_check (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    sealed bytea   NOT NULL
);
