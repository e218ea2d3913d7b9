"""What `Transport.spec.options` may say for `kind: example`."""

from pydantic import BaseModel, ConfigDict, Field


class ExampleOptions(BaseModel):
    """Every field has a description: it becomes documentation and schema. Passwords are `pydantic.SecretStr`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    server: str = Field(
        default="memory", description="Which of the servers in memory; yours will be an address."
    )
