"""The operators' admin site."""

from django.contrib.admin import AdminSite


class PayflowAdminSite(AdminSite):
    """Django's admin under our name."""

    site_header = "PayFlow"
    site_title = "PayFlow"
    index_title = "How things stand"
