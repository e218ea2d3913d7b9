"""What `Transport.spec.options` may say for `kind: redis`."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class RedisOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="redis:// or rediss:// with user and password.",
    )
    prefix: str = Field(default="mesh", description="What the keys of all streams begin with.")
