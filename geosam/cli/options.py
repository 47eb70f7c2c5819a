"""Options that say which objects are looked for and how they are written, for one scene and for a catalog."""

from typing import Annotated

import typer

PROMPTS, EVERYTHING, OUTPUT = "Prompts (none: every object)", "Everything mode", "What is written"

PromptsLayer = Annotated[str | None, typer.Option(help="Layer of the prompts file.", rich_help_panel=PROMPTS)]
IdColumn = Annotated[
    str | None, typer.Option(help="Column that names a prompt; kept as `prompt_id`.", rich_help_panel=PROMPTS)
]
GroupColumn = Annotated[
    str | None, typer.Option(help="Column that groups points to one object.", rich_help_panel=PROMPTS)
]
Refine = Annotated[
    int, typer.Option(help="Rounds in which a mask is fed back to the model.", min=0, rich_help_panel=PROMPTS)
]
Zoom = Annotated[
    bool,
    typer.Option(help="Look at boxes and polygons at the zoom that suits the model.", rich_help_panel=PROMPTS),
]
Quality = Annotated[
    float | None,
    typer.Option(help="Least predicted IoU; default: the model's.", min=0, max=1, rich_help_panel=EVERYTHING),
]
Stability = Annotated[
    float | None,
    typer.Option(help="Least stability; default: the model's.", min=0, max=1, rich_help_panel=EVERYTHING),
]
Spacing = Annotated[
    int | None,
    typer.Option(help="Distance of grid points, px; default: the model's.", min=1, rich_help_panel=EVERYTHING),
]
Spare = Annotated[
    bool | None,
    typer.Option(help="Spare grid points on sure masks; default: the model's.", rich_help_panel=EVERYTHING),
]
Hierarchy = Annotated[
    bool,
    typer.Option("--hierarchy", help="Keep wholes and parts: `level`, `parent_id`.", rich_help_panel=EVERYTHING),
]
MinArea = Annotated[float, typer.Option(help="Drop objects smaller than this, m².", min=0, rich_help_panel=EVERYTHING)]
MaxArea = Annotated[float, typer.Option(help="Drop objects larger than this, m².", min=0, rich_help_panel=EVERYTHING)]
Simplify = Annotated[
    float, typer.Option(help="Simplify shared borders by this tolerance, CRS units.", min=0, rich_help_panel=OUTPUT)
]
Outline = Annotated[
    str | None, typer.Option(help="`regular` or `smooth`; needs geosam[outline].", rich_help_panel=OUTPUT)
]
