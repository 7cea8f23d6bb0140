"""A run on one page: an HTML file that needs nothing but itself.

``contents`` gathers what is to be read, ``rendering`` writes it by the template ``page.html``.
"""

from resnets.report.page.contents import Contents, gather
from resnets.report.page.rendering import render

__all__ = ["Contents", "gather", "render"]
