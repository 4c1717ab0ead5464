"""Migrations that have landed stay as they are, byte for byte."""

from audit_log.schema.migrate import migrations

LANDED = {
    "0001_audit_log.sql": "429d4a21bf74c7488406299157be7cb4dd5a482140454bffb78efaabb58d663f",
    "0002_partitions.sql": "2fcb2670c3ac4f7f7d9187ded47c69a195fd6071f0f3d084a77df33883edbfd9",
    "0003_gaps.sql": "004e3870d756fe5954452e3109d779a9da4c3ea69578ff1c20d613dd1a10933f",
    "0004_tokens.sql": "dc77f134ada241c149e5e0ea4b6a124a173b9ba7f3eba79cea56be27e813204e",
    "0005_invocations.sql": "e5fb8807d5e34b29d98d4846bec4aec117e4041381afe9c8a2e912c31dac385c",
    "0006_arrival.sql": "6157e91b5c2895e404f0a9d6844f746c30106dfae97f2c3f135fa298f7a35748",
    "0007_filters.sql": "b86c1f8a0b8c56eb10958e3ac51f9e891730ad107748ef1e6fe5cbcda69ec60e",
    "0008_retention.sql": "abc47ac6b12469a6aa225c359cb181bab160832e165b9323205877a5eed88550",
    "0009_conversion.sql": "8c3aff65906785e96b92f136442ab8dec6629c18425ef6daa3ff2ed55ff87f29",
    "0010_filters.sql": "e0bcb09b5518ec5f846605de1cb36abeff6a348503628741889783f4765732ac",
    "0011_moving.sql": "5fe430e6121ced1b7491deb61d29e149a38fef0f36ed70679a784aecefbc220e",
    "0012_arrived_at.sql": "288a64ab4460b030f3c0d955d391a248684218ce2c18e1e8afc1553e44c004f0",
    "0013_subscriber.sql": "dc7b4fe332e3c6738f0cecbe378f7149d61c1627c1e76e824ccb36a1bbf846d0",
    "0014_few_months.sql": "26dc98e4532b5e2984d9f5c7222c37d081db482d6ef7fdf5e5b37882bed899bb",
    "0015_agents.sql": "2b178b9baf89b91f796a31114c9ee2120c7fcfa1e69dfe65038cb1b03d9d2bcb",
    "0016_rounds.sql": "6a6e624b29f7660554cffdb265aff93a6926e1790cf8fa438d0ce144e9a2bc26",
    "0017_token_owner.sql": "795ad102468801982497fe99e8f79e5849ebe1e38f2da00cf9ae8c82d607940d",
    "0018_principal.sql": "213a0a6e3bf6777ae6d769d8c2e61a6e166b4c0628502f213fe41ce578a05c48",
    "0019_lent_rights.sql": "9e9aa65b770606bf1729e633db3aa365cf9c06dacc1590b4f5b8bcf7c2c9483c",
    "0020_seal.sql": "cc2c04fbeac48339e28fa5a39bf5549e45e43d5a34fd9f61468e996545e43c44",
    "0021_questions.sql": "7f279a4dcdf3a490d0856d3e5c8aee412f4e83cd1d89bb647a4a987d4c971712",
    "0022_seal_retention.sql": "7fbe9d6cd69369f7b01acdec3ff2e8cff774b4bd059a3c46f1c904a1743423c0",
    "0023_reads.sql": "cc01e358c01a491cf63cd45169ca7d18f03502265aeb80f51b7d9eaefb68ce22",
    "0024_rare_and_slow.sql": "af60f9c853baf380fba38b05403753046aa6ff744ee3a52633f1c666e820a4fe",
}
"""The SHA-256 of each migration. From 0.2.0 on lines are only added: databases have noted them."""


def test_a_migration_that_has_landed_is_never_changed():
    """Databases refuse a changed file; put the change into a new migration, and add its line."""
    assert {migration.name: migration.checksum for migration in migrations()} == LANDED


def test_migrations_are_numbered_on_without_a_hole():
    numbers = [int(migration.name.partition("_")[0]) for migration in migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
