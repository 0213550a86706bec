"""What preprocess/ and lddu/ agree on: the columns of clips.csv, and the names in the tensors between them."""

SPLITS = ("train", "valid", "test")
TENSOR_SPLITS = (*SPLITS, "other")  # other: clips with a blank split; they are predicted, never scored
MODALITIES = ("text", "audio", "vision")
NOISE_COLUMNS = tuple(f"noise_{modality}" for modality in MODALITIES)
COLUMNS = ("clip_id", "media", "start", "end", "text", "split", "speaker")  # of clips.csv, without noise and labels
UNKNOWN_TIME = -1.0  # seconds; for a row of a text without sound
