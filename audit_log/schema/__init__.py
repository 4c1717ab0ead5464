"""The schema: migrations, adoption and conversion of older tables, partitions."""
