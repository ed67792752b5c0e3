################################################################################
#
# aerie
#
################################################################################

AERIE_VERSION = 0.1.0
# What buildroot/stage.sh has laid out for the board's architecture.
AERIE_SITE = $(BR2_EXTERNAL_AERIE_PATH)/../target/buildroot/stage/$(call qstrip,$(BR2_ARCH))
AERIE_SITE_METHOD = local
AERIE_LICENSE = Apache-2.0, others (THIRD-PARTY.txt)
AERIE_LICENSE_FILES = LICENSE THIRD-PARTY.txt
# libsystemd.so.0
AERIE_DEPENDENCIES = systemd

# The same names as systemd/aerie.sysusers, which cannot run on a root file
# system that is read-only. The numbers are fixed: what is on the data
# partition belongs to them in every slot that will ever be written.
define AERIE_USERS
	aerie 970 aerie 970 * - - - Aerie appliance
	aerie-vault 971 aerie-vault 971 * - - - Aerie vault
endef

define AERIE_INSTALL_TARGET_CMDS
	cp -a $(@D)/root/. $(TARGET_DIR)/
endef

$(eval $(generic-package))
