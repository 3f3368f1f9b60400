-- A document that changes again while a worker writes its passages is not claimed before that worker ends: the older of
-- two writes at once could come last and stay.
ALTER TABLE support.document_changes ADD COLUMN lease_until timestamptz NOT NULL DEFAULT '-infinity';
