"""The planned switch: what is looked at, judged and done so that no write is lost on the way."""
