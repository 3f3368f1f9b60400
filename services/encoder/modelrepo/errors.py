"""What can go wrong while a model repository is written. For people at a command line, not for clients."""


class ModelRepositoryError(Exception):
    """Base; the message says what to do."""


class UnsupportedModel(ModelRepositoryError):
    """The model cannot be found, or has a part that the export does not understand."""


class ExportFailed(ModelRepositoryError):
    """The exported graph does not give the vectors of the model it was exported from."""
