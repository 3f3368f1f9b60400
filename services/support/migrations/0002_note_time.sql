-- When a document began to wait for the index.
ALTER TABLE support.document_changes ADD COLUMN note_time timestamptz NOT NULL DEFAULT now();
